/** A small file system of its own, to be filled. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why there can be none here, or `false`: what a test that needs one is skipped with. */
export function noSmallDisk(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, to mount a small file system'
  const steps: (() => unknown)[] = []
  try {
    smallDisk(work => steps.unshift(work), 1)
    return false
  } catch (cause) {
    return (cause as Error).message
  } finally {
    for (const step of steps) step()
  }
}

/** Where it is mounted. `undo` is called with what gives it back. */
export function smallDisk(undo: (work: () => unknown) => void, megabytes: number): string {
  const path = mkdtempSync(join(tmpdir(), 'small-disk-'))
  undo(() => rmSync(path, { recursive: true, force: true }))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { encoding: 'utf8' })
  assert.equal(mounted.status, 0, `no small file system can be mounted: ${mounted.stderr?.trim()}`)
  undo(() => spawnSync('umount', ['-l', path]))
  return path
}
