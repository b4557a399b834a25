'use strict'
const fs = require('fs')
const path = require('path')
const { begin, env, fail, inputs, inWorkspace, noWildcard, output } = require(
  path.join(process.env.STUB_ACTIONS, 'stub.js'),
)

// Another run's artifacts are behind the API: token and `actions: read` are both needed.
const allowed = async (run) => {
  if (!inputs['github-token']) fail('github-token is needed to download from another run')
  const url = `${env.GITHUB_API_URL}/repos/${env.GITHUB_REPOSITORY}/actions/runs/${run}/artifacts`
  const headers = { authorization: `Bearer ${inputs['github-token']}` }
  const answer = await fetch(url, { headers })
  if (!answer.ok) fail(`${(await answer.json()).message} (${answer.status})`)
}

const main = async () => {
  begin('actions/download-artifact')
  const run = inputs['run-id'] || env.GITHUB_RUN_ID
  if (!/^\d+$/.test(run)) fail(`Invalid run-id ${run}`)
  if (run !== env.GITHUB_RUN_ID) await allowed(run)
  const store = path.join(env.STUB_ARTIFACTS, run)
  const target = inWorkspace(inputs.path || '.')
  const all = fs.existsSync(store) ? fs.readdirSync(store).sort() : []
  const [head, tail] = (inputs.pattern || '*').split('*')
  if (inputs.pattern && inputs.pattern.split('*').length !== 2) noWildcard(inputs.pattern)
  const names = inputs.name
    ? all.filter((name) => name === inputs.name)
    : all.filter((name) => name.startsWith(head) && name.endsWith(tail))
  if (inputs.name && !names.length) fail(`Artifact not found for name: ${inputs.name}`)
  for (const name of names) {
    const flat = inputs.name || inputs['merge-multiple'] === 'true'
    const options = { recursive: true, verbatimSymlinks: true }
    fs.cpSync(path.join(store, name), flat ? target : path.join(target, name), options)
  }
  output('download-path', target)
}

main().catch((error) => fail(error.message))
