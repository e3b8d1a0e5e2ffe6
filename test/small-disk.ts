/** A small file system of its own, to be filled. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where it is mounted, or why it cannot be. `undo` is called with what gives it back. */
export function smallDisk(undo: (work: () => unknown) => void, megabytes: number): string | { readonly skip: string } {
  if (process.getuid?.() !== 0) return { skip: 'needs root, to mount a small file system' }
  const path = mkdtempSync(join(tmpdir(), 'small-disk-'))
  undo(() => rmSync(path, { recursive: true, force: true }))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { encoding: 'utf8' })
  if (mounted.status !== 0) return { skip: `no small file system can be mounted: ${mounted.stderr?.trim()}` }
  undo(() => spawnSync('umount', ['-l', path]))
  return path
}
