'use strict'
const fs = require('fs')
const path = require('path')
const { append, begin, env, inputs, output, run } = require(
  path.join(process.env.STUB_ACTIONS, 'stub.js'),
)

begin('actions/setup-python')
const version = run(env.STUB_PYTHON, ['-c', 'import platform; print(platform.python_version())'])
const wanted = inputs['python-version'] || ''
if (wanted && !version.startsWith(wanted.replace(/\.x$/, ''))) {
  console.log(`::warning::Python ${wanted} was asked for; this machine has ${version}`)
}
const bin = path.join(env.RUNNER_TEMP, 'python', 'bin')
fs.mkdirSync(bin, { recursive: true })
// Scripts, not links: a link to a virtual environment's Python loses the environment.
const script = (name, line) =>
  fs.writeFileSync(path.join(bin, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 })
script('python', `"${env.STUB_PYTHON}"`)
script('python3', `"${env.STUB_PYTHON}"`)
script('pip', `"${env.STUB_PYTHON}" -m pip`)
append('GITHUB_PATH', bin)
output('python-version', version)
output('python-path', path.join(bin, 'python'))
output('cache-hit', '')
