'use strict'
if (process.env.STATE_exact !== 'true') require('./cache.js').save(process.env.INPUT_KEY)
