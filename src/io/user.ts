/** Becoming another user for good: started as root for the ports below 1024, and never root again. */
import { execFileSync } from 'node:child_process'
import { chownSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { PosternError, type SourceRef } from '../base/problem.ts'
import { ConfigurationError } from './files.ts'

export interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** What a system with users has; the types of Node leave one of them out. */
type Users = Pick<NodeJS.Process, 'setgid' | 'setuid'> & { initgroups?(user: string, group: number): void }

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** The user of this name, as the system knows it (passwd, LDAP, whatever `id` asks). A `PosternError` where there is none. */
function findUser(name: string): User {
  const ask = (flag: string): number => {
    try {
      const said = execFileSync('id', [flag, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      return /^\d+\n$/.test(said) ? Number(said) : Number.NaN
    } catch {
      return Number.NaN
    }
  }
  const [uid, gid] = [ask('-u'), ask('-g')]
  if (Number.isNaN(uid) || Number.isNaN(gid)) throw cannotBecome(name, 'there is no such user here')
  if (uid === 0) throw cannotBecome(name, 'that is root, whatever it is called')
  return { name, uid, gid }
}

/** Is this process that user already, and nothing more? */
function isUser({ uid }: User): boolean {
  return process.getuid?.() === uid && process.geteuid?.() === uid
}

/**
 * From now on this process is that user, with the user's groups, and cannot be root again: that is tried. A
 * `PosternError` where it cannot be had.
 */
export function become({ name, uid, gid }: User): void {
  const system: Users = process
  if (!system.initgroups || !system.setgid || !system.setuid) throw cannotBecome(name, 'this system has no users')
  try {
    // In this order: whoever is no longer root may not change its groups.
    system.initgroups(name, gid)
    system.setgid(gid)
    system.setuid(uid)
  } catch (cause) {
    throw cannotBecome(name, (cause as Error).message)
  }
  const left = whatIsLeft(uid, gid)
  if (left !== undefined) throw cannotBecome(name, left)
}

/** What of root is still there, or can be had again. */
function whatIsLeft(uid: number, gid: number): string | undefined {
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()]
  if (ids.join() !== [uid, uid, gid, gid].join()) return 'the ids did not change'
  for (const back of ['setuid', 'seteuid'] as const) {
    try {
      process[back]?.(0)
      return 'root could be had again'
    } catch {
      // As it should be.
    }
  }
  // Saved ids do not show otherwise, nor what a capability would still let us do.
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'latin1') : ''
  for (const line of status.split('\n')) {
    const [field = '', ...values] = line.split(/\s+/)
    if (field === 'Uid:' && values.some(value => value !== '' && Number(value) !== uid))
      return 'a saved user id is left'
    if (field === 'Gid:' && values.some(value => value !== '' && Number(value) !== gid))
      return 'a saved group id is left'
    if (/^Cap(?:Eff|Prm|Amb):$/.test(field) && /[1-9a-f]/.test(values[0] ?? '')) return 'a capability is left'
  }
  return undefined
}

/** A folder that the user will write into: made for it where it is missing, and its own where it is there. */
export function folderFor(user: User, folder: string): void {
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (made !== undefined) chownSync(folder, user.uid, user.gid)
  belongsTo(user, folder)
}

/** The same of a file that the user will append to. */
export function fileFor(user: User, file: string): void {
  if (!existsSync(file)) {
    closeSync(openSync(file, 'ax', 0o640))
    chownSync(file, user.uid, user.gid)
  }
  belongsTo(user, file)
}

function belongsTo({ name, uid }: User, path: string): void {
  const owner = statSync(path).uid
  if (owner === uid) return
  throw cannotBecome(name, `${path} belongs to ${owner === 0 ? 'root' : `user ${owner}`} (chown -R ${name} ${path})`)
}

/**
 * The user that a line names, where this process is not that user yet. A `ConfigurationError` where there is no such user,
 * or it cannot be had.
 */
export function whoToBecome(line: { readonly name: string; readonly at: SourceRef } | undefined): User | undefined {
  if (!line) return undefined
  try {
    const found = findUser(line.name)
    if (isUser(found)) return undefined
    if (isRoot()) return found
    throw cannotBecome(line.name, 'only root can become somebody else')
  } catch (cause) {
    throw new ConfigurationError([{ severity: 'error', message: (cause as Error).message, at: line.at }])
  }
}

function cannotBecome(name: string, why: string): PosternError {
  return new PosternError('POSTERN_USER', `cannot run as ${name}: ${why}`, { side: 'us', retry: 'never' })
}
