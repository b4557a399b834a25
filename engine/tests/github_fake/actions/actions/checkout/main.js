'use strict'
const fs = require('fs')
const path = require('path')
const { begin, env, event, fail, inputs, inWorkspace, output, run } = require(
  path.join(process.env.STUB_ACTIONS, 'stub.js'),
)

begin('actions/checkout')
const repository = inputs.repository || env.GITHUB_REPOSITORY
const origin = JSON.parse(env.STUB_ORIGINS)[repository]
if (!origin) fail(`repository ${repository} does not exist here`)
const own = repository === env.GITHUB_REPOSITORY
const ref = inputs.ref || (own ? env.GITHUB_SHA : 'HEAD')

// From v7 on, a run with rights does not check out a fork's commit by accident.
const privileged = { pull_request_target: 'pull_request', workflow_run: 'workflow_run' }
const untrusted = () => {
  const about = event()[privileged[env.GITHUB_EVENT_NAME]]
  if (!about) return false
  const head = about.head_repository?.full_name || about.head?.repo?.full_name
  const sha = about.head_sha || about.head?.sha
  const wanted = repository === head || ref === sha || ref.startsWith('refs/pull/')
  return head !== env.GITHUB_REPOSITORY && wanted
}
if (inputs['allow-unsafe-pr-checkout'] !== 'true' && untrusted()) {
  fail('refusing to check out a fork in a run with rights')
}

const target = inWorkspace(inputs.path || '.')
fs.mkdirSync(target, { recursive: true })
const git = (...args) => run('git', ['-C', target, ...args])
if (!fs.existsSync(path.join(target, '.git'))) git('init', '--quiet', '--initial-branch=main')
const url = `${env.GITHUB_SERVER_URL}/${repository}`
const depth = inputs['fetch-depth'] || '1'
const specs = depth === '0' ? ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'] : []
const limit = depth === '0' ? [] : [`--depth=${depth}`]
git('fetch', '--quiet', '--no-tags', ...limit, `file://${origin}`, ref, ...specs)
const commit = git('rev-parse', 'FETCH_HEAD')

// A branch is checked out as such, everything else as a detached commit.
const branch = inputs.ref ? inputs.ref.replace(/^refs\/heads\//, '') : env.GITHUB_REF.split('refs/heads/')[1]
const tip = branch && run('git', ['-C', origin, 'for-each-ref', '--format=%(objectname)', `refs/heads/${branch}`])
if (tip === commit) {
  git('update-ref', `refs/remotes/origin/${branch}`, commit)
  git('checkout', '--quiet', '--force', '-B', branch, commit)
} else {
  git('checkout', '--quiet', '--force', '--detach', commit)
}
git('config', 'remote.origin.url', url)
git('config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*')
if ((inputs['persist-credentials'] || 'true') === 'true') {
  const credential = Buffer.from(`x-access-token:${inputs.token}`).toString('base64')
  git('config', `http.${env.GITHUB_SERVER_URL}/.extraheader`, `AUTHORIZATION: basic ${credential}`)
}
output('ref', ref)
output('commit', commit)
