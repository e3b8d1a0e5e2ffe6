import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { DropFolder, MAX_ASIDE, MOST_ASIDE } from './drop-folder.ts'

/** Where there is no folder yet. */
function place(t: { after(work: () => void): void }): string {
  const made = mkdtempSync(join(tmpdir(), 'drop-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return join(made, 'drop')
}

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8)

test('it is open to everybody, who may put a file in, list none and remove nobody else`s', async t => {
  const folder = place(t)
  await new DropFolder(folder).open()
  assert.deepEqual([modeOf(folder), modeOf(join(folder, 'aside')).slice(-3)], ['3733', '700'])
})

test('one that was made for it, for everybody or for a group, is left as it is: a service may not set such bits', async t => {
  for (const [mode, is] of [
    [0o3733, '3733'],
    [0o3730, '3730'],
    // Whoever could remove or list what others left is not meant.
    [0o2733, '3733'],
    [0o1733, '3733'],
    [0o3777, '3733'],
  ] as const) {
    const folder = place(t)
    mkdirSync(join(folder, 'aside'), { recursive: true })
    chmodSync(folder, mode)
    const { ctimeMs } = statSync(folder)
    await new DropFolder(folder).open()
    assert.equal(modeOf(folder), is)
    assert.equal(statSync(folder).ctimeMs === ctimeMs, is === mode.toString(8), mode.toString(8))
  }
})

test('what is put aside is bounded, by files and by octets: the oldest go', async t => {
  const folder = place(t)
  const first = new DropFolder(folder)
  await first.open()
  const put = async (drops: DropFolder, name: string, octets = 1): Promise<number> => {
    writeFileSync(join(folder, name), '')
    truncateSync(join(folder, name), octets)
    return (await drops.setAside(name)).gone
  }
  for (let i = 0; i < MOST_ASIDE; i++) assert.equal(await put(first, `f${i}`), 0)
  assert.equal(await put(first, 'more'), 1)
  const aside = join(folder, 'aside')
  assert.deepEqual([existsSync(join(aside, 'f0')), existsSync(join(aside, 'f1'))], [false, true])
  // As many after a restart.
  const second = new DropFolder(folder)
  await second.open()
  assert.equal(await put(second, 'again'), 1)
  assert.equal(readdirSync(aside).length, MOST_ASIDE)
  assert.ok(!existsSync(join(aside, 'f1')))
  assert.equal(await put(second, 'large', MAX_ASIDE / 2), 1)
  assert.equal(await put(second, 'larger', MAX_ASIDE / 2 + 1), MOST_ASIDE)
  assert.deepEqual(readdirSync(aside), ['larger'])
  // The same name once more is one file.
  assert.equal(await put(second, 'larger', MAX_ASIDE), 0)
})
