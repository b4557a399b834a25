'use strict'
const path = require('path')
const { begin, state } = require(path.join(process.env.STUB_ACTIONS, 'stub.js'))

begin('actions/cache')
state('exact', require('./lookup.js')())
