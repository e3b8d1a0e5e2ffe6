import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { askControl, type ControlHandler, MAX_REQUEST, openControl } from './control.ts'

async function control(t: { after(work: () => void): void }, handle: ControlHandler) {
  const folder = mkdtempSync(join(tmpdir(), 'control-'))
  const path = join(folder, 'control')
  const open = await openControl(folder, handle)
  t.after(() => {
    open.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return { folder, path, open }
}

test('a line typed is answered, and only the owner may open the socket', async t => {
  const { folder, path } = await control(t, async request => ({
    answer: [request.ask === 'type' ? `${request.node}: ${request.line}` : ''],
    wrong: false,
  }))
  assert.deepEqual(await askControl(folder, { ask: 'type', node: 'fw-b', line: 'show fixup' }), {
    answer: ['fw-b: show fixup'],
    wrong: false,
  })
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('an answer may be longer than a request may be', async t => {
  const long = 'x'.repeat(MAX_REQUEST * 3)
  const { folder } = await control(t, async () => ({ answer: [long], wrong: false }))
  assert.equal((await askControl(folder, { ask: 'type', node: 'fw-b', line: 'show explain' })).answer[0], long)
})

test('a request without end is cut off, and what is no request is refused', async t => {
  const { path } = await control(t, async () => ({ answer: [], wrong: false }))
  const endless = net.connect(path)
  endless.on('error', () => {})
  endless.write('x'.repeat(MAX_REQUEST * 2))
  await once(endless, 'close')
  const nonsense = net.connect(path)
  nonsense.write('{"ask": "type", "node": 1}\n')
  const [heard] = (await once(nonsense, 'data')) as [Buffer]
  assert.deepEqual(JSON.parse(String(heard)), { answer: ['not a request'], wrong: true })
})

test('where nothing runs any more, that is said, and not a word of the system', async t => {
  const { folder, path, open } = await control(t, async () => ({ answer: [], wrong: false }))
  open.close()
  await assert.rejects(askControl(folder, { ask: 'nodes' }), {
    code: 'POSTERN_NOBODY',
    message: `nothing runs there: nobody answers at ${path}`,
  })
})

test('whoever asks when everything is being taken down is told so, and a silent one does not hold it up', async t => {
  const { folder, path, open } = await control(t, () => new Promise(() => {}))
  const silent = net.connect(path)
  silent.on('error', () => {})
  await once(silent, 'connect')
  const asked = askControl(folder, { ask: 'type', node: 'fw-b', line: 'show conn' })
  setTimeout(() => open.close(), 50)
  await assert.rejects(asked, /closed without an answer|does not answer/)
  await once(silent, 'close')
})
