'use strict'
const path = require('path')
require(path.join(process.env.STUB_ACTIONS, 'stub.js')).begin('actions/cache/save')
require('../cache.js').save(process.env.INPUT_KEY)
