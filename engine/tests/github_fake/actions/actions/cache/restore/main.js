'use strict'
const path = require('path')
require(path.join(process.env.STUB_ACTIONS, 'stub.js')).begin('actions/cache/restore')
require('../lookup.js')()
