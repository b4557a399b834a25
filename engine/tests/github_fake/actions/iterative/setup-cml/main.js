'use strict'
const fs = require('fs')
const path = require('path')
const { append, begin, env, fail, inputs } = require(path.join(process.env.STUB_ACTIONS, 'stub.js'))

begin('iterative/setup-cml')
if (!['0.20.6', 'latest', undefined].includes(inputs.version)) fail(`no release ${inputs.version}`)
// True is the default, and breaks on today's runners.
if (inputs.vega !== 'false') fail('npm install --global canvas@2 vega@5: gyp ERR!')
const bin = path.join(env.RUNNER_TEMP, 'cml', 'bin')
fs.mkdirSync(bin, { recursive: true })
fs.symlinkSync(path.join(env.STUB_TOOLS, 'cml'), path.join(bin, 'cml'))
append('GITHUB_PATH', bin)
