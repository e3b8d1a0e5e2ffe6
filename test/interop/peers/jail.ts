/**
 * A root directory of its own for a daemon that insists on its place in the file system, its users and root's rights: the
 * unpacked packages, the machine's libraries they need, and nothing else. What the daemon does stays in there.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type Program, start, workDirectory } from '../../../tools/bench/process.ts'
import { type PeerName, peer } from '../../../tools/peers.ts'

export interface Jail {
  /** The directory on this machine that is `/` in there. */
  readonly root: string
  readonly version: string
  /** Starts a program by its path in there. */
  start(command: string, args: readonly string[]): Program
}

export interface JailPlan {
  readonly peer: PeerName
  /** Users by name: each has an id of its own, and a group of its name. */
  readonly users: readonly string[]
  /** Directories, made if need be, and given to a user. */
  readonly directories: Readonly<
    Record<string, { readonly owner?: string; readonly group?: string; readonly mode?: number }>
  >
  readonly files: Readonly<Record<string, string>>
  /** Programs of the machine that are called in there. */
  readonly programs?: readonly string[]
}

/** What no daemon reads. */
const LEFT_OUT = /\/usr\/share\/(?:doc|man|locale|lintian|info)$/
const FIRST_ID = 20_000

export function makeJail({ peer: name, users, directories, files, programs = [] }: JailPlan): Jail {
  const { root: unpacked, version, env } = peer(name)
  const root = mkdtempSync(join(workDirectory(), `${name}-`))
  chmodSync(root, 0o755)
  cpSync(unpacked, root, { recursive: true, verbatimSymlinks: true, filter: source => !LEFT_OUT.test(source) })
  for (const program of programs) bring(program, root)
  for (const file of needed([...executables(root), ...programs], env.LD_LIBRARY_PATH)) {
    if (!file.startsWith(unpacked)) bring(file, root)
  }
  devices(root)
  const ids = new Map([['root', 0], ...users.map((user, i) => [user, FIRST_ID + i] as const)])
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const lines = (each: (user: string, id: number) => string) =>
    [...ids].map(([user, id]) => `${each(user, id)}\n`).join('')
  write(
    '/etc/passwd',
    lines((user, id) => `${user}:x:${id}:${id}::/:/bin/false`),
  )
  write(
    '/etc/group',
    lines((user, id) => `${user}:x:${id}:`),
  )
  write('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n')
  write('/etc/resolv.conf', '')
  write('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n')
  for (const [path, text] of Object.entries(files)) write(path, text)
  for (const [path, { owner = 'root', group = owner, mode = 0o755 }] of Object.entries(directories)) {
    mkdirSync(join(root, path), { recursive: true })
    chownSync(join(root, path), ids.get(owner) ?? 0, ids.get(group) ?? 0)
    chmodSync(join(root, path), mode)
  }
  const libraries = env.LD_LIBRARY_PATH.replaceAll(unpacked, '')
  return {
    root,
    version,
    start: (command, args) =>
      start({
        name,
        command: 'chroot',
        args: [root, command, ...args],
        env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LD_LIBRARY_PATH: libraries },
      }),
  }
}

/** Copies a file of the machine to the same place in there, whatever links lead to it. */
function bring(file: string, root: string): void {
  const to = join(root, file)
  if (existsSync(to)) return
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(file, to)
}

function executables(root: string): readonly string[] {
  return (
    ['usr/sbin', 'usr/bin', 'usr/lib', 'usr/libexec']
      .filter(top => existsSync(join(root, top)))
      .flatMap(top => readdirSync(join(root, top), { recursive: true, withFileTypes: true }))
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
      // Plugins need libraries as programs do.
      .filter(file => (statSync(file).mode & 0o111) !== 0 || file.endsWith('.so'))
  )
}

/** Every library that these programs load, the loader itself included, as ldd finds them. */
function needed(programs: readonly string[], libraries: string): readonly string[] {
  const { stdout } = spawnSync('ldd', programs, {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
  })
  return [...new Set([...stdout.matchAll(/(?:=>|^)\s+(\/\S+) \(0x/gm)].map(([, file = '']) => file))]
}

function devices(root: string): void {
  mkdirSync(join(root, 'dev'), { recursive: true })
  const made = spawnSync('cp', ['-a', '/dev/null', '/dev/zero', '/dev/random', '/dev/urandom', join(root, 'dev')])
  if (made.status !== 0) throw new Error(`cannot make devices in ${root}: ${made.stderr}`)
}
