'use strict'
const crypto = require('crypto')
const fs = require('fs')
const path = require('path')
const { begin, env, fail, inputs, inWorkspace, lines, noWildcard, output } = require(
  path.join(process.env.STUB_ACTIONS, 'stub.js'),
)

begin('actions/upload-artifact')
const name = inputs.name || 'artifact'
const target = path.join(env.STUB_ARTIFACTS, env.GITHUB_RUN_ID, name)
if (fs.existsSync(target) && inputs.overwrite !== 'true') {
  fail(`Conflict: an artifact with the name ${name} already exists on the workflow run`)
}
fs.rmSync(target, { recursive: true, force: true })

const withHidden = inputs['include-hidden-files'] === 'true'
const walk = (name) => {
  if (!fs.existsSync(name)) return []
  if (!fs.statSync(name).isDirectory()) return [name]
  const visible = fs.readdirSync(name).filter((one) => withHidden || !one.startsWith('.'))
  return visible.flatMap((one) => walk(path.join(name, one)))
}
const wanted = lines(inputs.path).map(noWildcard).map(inWorkspace)
const files = wanted.flatMap(walk)
if (!files.length) {
  const what = inputs['if-no-files-found'] || 'warn'
  const message = `No files were found with the provided path: ${inputs.path}`
  if (what === 'error') fail(message)
  if (what === 'warn') console.log(`::warning::${message}`)
  process.exit(0)
}

// One folder: its content. Several paths: all below their deepest common folder.
const common = (a, b) => {
  const [left, right] = [a.split('/'), b.split('/')]
  const differs = left.findIndex((part, index) => part !== right[index])
  return differs < 0 ? a : left.slice(0, differs).join('/')
}
const folderOf = (name) => (fs.existsSync(name) && fs.statSync(name).isDirectory() ? name : path.dirname(name))
const root = wanted.map(folderOf).reduce(common)
for (const file of files) {
  const copy = path.join(target, path.relative(root, file))
  fs.mkdirSync(path.dirname(copy), { recursive: true })
  fs.copyFileSync(file, copy)
}
const digest = crypto.createHash('sha256').update(`${env.GITHUB_RUN_ID}/${name}`).digest('hex')
const id = parseInt(digest.slice(0, 8), 16)
output('artifact-id', id)
output('artifact-url', `${env.GITHUB_SERVER_URL}/${env.GITHUB_REPOSITORY}/actions/runs/${env.GITHUB_RUN_ID}/artifacts/${id}`)
output('artifact-digest', digest)
