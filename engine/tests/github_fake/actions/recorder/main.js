'use strict'
const fs = require('fs')
const path = require('path')
const { begin, env, output } = require(path.join(process.env.STUB_ACTIONS, 'stub.js'))

const name = env.GITHUB_ACTION_REPOSITORY
begin(name)
const usual = JSON.parse(fs.readFileSync(path.join(env.STUB_ACTIONS, 'outputs.json')))[name]
const chosen = JSON.parse(env.STUB_OUTPUTS || '{}')[name]
for (const [key, value] of Object.entries({ ...usual, ...chosen })) output(key, value)
