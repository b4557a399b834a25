// A folder-backed cache with GitHub's rules: scopes, immutable keys, versions by path list.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const path = require('path')
const { env, event, inputs, inWorkspace, lines, noWildcard, run } = require(
  path.join(process.env.STUB_ACTIONS, 'stub.js'),
)

const encode = (text) => encodeURIComponent(text).replace(/\./g, '%2E')
const paths = lines(inputs.path).map(noWildcard)
// The real service, too, finds nothing when the list of paths differs from the saved one.
const version = crypto.createHash('sha256').update(paths.join('|')).digest('hex').slice(0, 16)
const folder = (scope) => path.join(env.STUB_CACHE, encode(scope))
const archive = (scope, key) => path.join(folder(scope), `${encode(key)}@${version}.tar`)

const ownScope = env.GITHUB_REF
const scopes = () => {
  const base = env.GITHUB_BASE_REF ? [`refs/heads/${env.GITHUB_BASE_REF}`] : []
  return [...new Set([ownScope, ...base, `refs/heads/${env.STUB_DEFAULT_BRANCH}`])]
}

const newestWithPrefix = (scope, prefix) => {
  if (!fs.existsSync(folder(scope))) return null
  const ending = `@${version}.tar`
  const found = fs.readdirSync(folder(scope))
    .filter((name) => name.endsWith(ending))
    .map((name) => ({ key: decodeURIComponent(name.slice(0, -ending.length)), name }))
    .filter(({ key }) => key.startsWith(prefix))
    .map((one) => ({ ...one, time: fs.statSync(path.join(folder(scope), one.name)).mtimeMs }))
    .sort((a, b) => b.time - a.time)
  return found.length ? found[0].key : null
}

const find = () => {
  for (const scope of scopes()) {
    if (fs.existsSync(archive(scope, inputs.key))) return { scope, key: inputs.key }
    for (const prefix of [inputs.key, ...lines(inputs['restore-keys'])]) {
      const key = newestWithPrefix(scope, prefix)
      if (key) return { scope, key }
    }
  }
  return null
}

const unpack = ({ scope, key }) => run('tar', ['-xPf', archive(scope, key), '-C', env.GITHUB_WORKSPACE])

// Runs that outsiders can start on the default branch get a read-only cache token.
const readOnly = () => {
  if (['pull_request_target', 'issue_comment'].includes(env.GITHUB_EVENT_NAME)) return true
  const head = event().workflow_run?.head_repository?.full_name
  return env.GITHUB_EVENT_NAME === 'workflow_run' && head !== env.GITHUB_REPOSITORY
}

const save = (key) => {
  const target = archive(ownScope, key)
  const present = paths.filter((name) => fs.existsSync(inWorkspace(name)))
  if (readOnly()) return console.log('::warning::cache is read-only for this event')
  if (fs.existsSync(target)) return console.log(`Cache ${key} already exists: not saved`)
  if (!present.length) return console.log('::warning::Path Validation Error: nothing to save')
  fs.mkdirSync(path.dirname(target), { recursive: true })
  // Relative inside the workspace, absolute outside of it: the workspace moves from job to job.
  const names = present.map((name) => {
    const inside = path.relative(env.GITHUB_WORKSPACE, inWorkspace(name))
    return inside.startsWith('..') ? inWorkspace(name) : inside || '.'
  })
  run('tar', ['-cPf', `${target}.part`, '-C', env.GITHUB_WORKSPACE, ...names])
  fs.renameSync(`${target}.part`, target)
  console.log(`Cache saved with key: ${key}`)
}

module.exports = { find, save, unpack }
