'use strict'
const path = require('path')
const { fail, inputs, output } = require(path.join(process.env.STUB_ACTIONS, 'stub.js'))
const { find, unpack } = require('./cache.js')

module.exports = () => {
  const hit = find()
  if (!hit && inputs['fail-on-cache-miss'] === 'true') fail(`Failed to restore cache ${inputs.key}`)
  if (hit && inputs['lookup-only'] !== 'true') unpack(hit)
  const exact = Boolean(hit) && hit.key === inputs.key
  console.log(hit ? `Cache restored from key: ${hit.key} (${hit.scope})` : 'Cache not found')
  output('cache-primary-key', inputs.key)
  output('cache-matched-key', hit ? hit.key : '')
  // Empty on a miss, not false: workflows must compare with 'true'.
  output('cache-hit', hit ? String(exact) : '')
  return exact
}
