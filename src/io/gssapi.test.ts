import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

test('without koffi everything loads, and GSSAPI says what to install', () => {
  const script = `
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(name, context, next) {
        if (name === 'koffi') throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
        return next(name, context)
      },
    })
    const { gssAcceptor } = await import(${JSON.stringify(new URL('./gssapi.ts', import.meta.url))})
    await import(${JSON.stringify(new URL('./sasl.ts', import.meta.url))})
    await gssAcceptor({}).catch(({ code, message }) => console.log(code, message))
  `
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(
    stdout,
    'POSTERN_NO_GSSAPI GSSAPI needs the npm package koffi, which is not here (it is optional); npm install koffi adds it\n',
    stderr,
  )
})
