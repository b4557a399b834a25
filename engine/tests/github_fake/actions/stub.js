// What every stand-in shares: inputs held against an allow-list, outputs, and a record of the call.
'use strict'
const fs = require('fs')
const path = require('path')
const { spawnSync } = require('child_process')

const env = process.env
const append = (variable, text) => fs.appendFileSync(env[variable], text + '\n')

const inputs = {}
for (const [key, value] of Object.entries(env)) {
  if (key.startsWith('INPUT_')) inputs[key.slice('INPUT_'.length).toLowerCase()] = value
}

const fail = (message) => {
  console.log(`::error::${message}`)
  process.exit(1)
}

// Linters do not check the inputs of an action pinned by its commit; so this does.
const begin = (name) => {
  const known = JSON.parse(fs.readFileSync(path.join(env.STUB_ACTIONS, 'inputs.json')))[name]
  if (!known) fail(`no list of inputs for ${name}`)
  const unknown = Object.keys(inputs).filter((key) => !known.includes(key))
  if (unknown.length) fail(`Unexpected input(s) ${unknown.join(', ')} for ${name}`)
  const call = { action: name, ref: env.GITHUB_ACTION_REF, job: env.GITHUB_JOB, with: inputs }
  append('STUB_LOG', JSON.stringify(call))
  if ((env.STUB_FAIL || '').split(',').includes(name)) fail(`${name} fails, as the test wants`)
}

const run = (command, args, options = {}) => {
  const done = spawnSync(command, args, { encoding: 'utf8', ...options })
  if (done.status !== 0) fail(`${command} ${args.join(' ')}: ${done.stderr || done.error}`)
  return done.stdout.trim()
}

const lines = (text) => (text || '').split('\n').map((line) => line.trim()).filter(Boolean)
// Many-line values would need a delimiter; no output of ours has them.
const output = (name, value) => append('GITHUB_OUTPUT', `${name}=${value}`)
const state = (name, value) => append('GITHUB_STATE', `${name}=${value}`)
const event = () => JSON.parse(fs.readFileSync(env.GITHUB_EVENT_PATH))
const inWorkspace = (name) => path.resolve(env.GITHUB_WORKSPACE, name.replace(/^~(?=\/|$)/, env.HOME))

const noWildcard = (name) => {
  if (/[*?[\]!]/.test(name)) fail(`this stand-in knows no wildcards: ${name}`)
  return name
}

module.exports = { begin, env, event, fail, inputs, inWorkspace, lines, noWildcard, output, run, state, append }
