import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { PosternError } from '../base/problem.ts'
import { isAlive } from './owner.ts'

/**
 * Where what this user runs keeps what it needs; only the owner may look inside. A service whose `/tmp` is its own says
 * by `POSTERN_STATE` where its console is to be found.
 */
function stateRoot(): string {
  const root = process.env.POSTERN_STATE ?? join(tmpdir(), `postern-${userInfo().uid}`)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  // Not through a link: what is swept away in here must be ours.
  const found = lstatSync(root)
  if (!found.isDirectory() || found.uid !== userInfo().uid || (found.mode & 0o077) !== 0) {
    // Somebody else made it first: a control socket in there would be theirs.
    throw new PosternError(
      'POSTERN_STATE_NOT_OURS',
      `${root} must belong to you, and be closed to others (chmod 700)`,
      {
        side: 'us',
        retry: 'never',
      },
    )
  }
  return root
}

/** A folder of its own for one running laboratory or firewall. */
export function makeState(name: string): string {
  sweep()
  return mkdtempSync(join(stateRoot(), `${name.replace(/[^\w.-]/g, '_')}.${process.pid}.`))
}

export function removeState(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

/** The folders of what runs, newest first; what a killed one left behind is swept away. */
export function runningStates(): readonly State[] {
  const running = sweep().filter(({ folder }) => existsSync(join(folder, CONTROL)))
  return running.sort((a, b) => statSync(b.folder).mtimeMs - statSync(a.folder).mtimeMs)
}

export interface State {
  readonly folder: string
  readonly name: string
  readonly pid: number
}

/** The folders whose process lives, once those of the dead are taken away. */
function sweep(): State[] {
  const root = stateRoot()
  return readdirSync(root).flatMap(entry => {
    const [, name, pid] = /^(.+)\.(\d+)\.[^.]+$/.exec(entry) ?? []
    if (name === undefined || pid === undefined) return []
    const folder = join(root, entry)
    if (isAlive(Number(pid))) return [{ folder, name, pid: Number(pid) }]
    removeState(folder)
    return []
  })
}

/** The name of the control socket in such a folder. */
export const CONTROL = 'control'
