/**
 * The programs a bench runs: started in process groups of their own, waited for, measured, and gone when the bench is,
 * however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

export interface Program {
  /** What people call it in messages: `nginx`, `smtp-sink`. */
  readonly name: string
  readonly pid: number
  /** The exit status, or the signal, once it has ended. */
  readonly ended: Promise<number | NodeJS.Signals>
  /** The last it said on standard output and error. */
  said(): string
  stop(): Promise<void>
}

export interface Command {
  readonly name: string
  readonly command: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

const running = new Map<number, Program>()
let workspace: string | undefined
let guard: ChildProcess | undefined

/** A directory for configurations and logs, removed at the end. */
export function workDirectory(): string {
  workspace ??= mkdtempSync(join(tmpdir(), 'postern-bench-'))
  return workspace
}

/** Starts a program in a process group of its own. What it says goes to a file, so that no pipe wakes the bench up. */
export function start({ name, command, args = [], env = {}, cwd = workDirectory() }: Command): Program {
  const watch = watchOver()
  const log = join(mkdtempSync(join(workDirectory(), `${name}-`)), 'log')
  const descriptor = openSync(log, 'a')
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', descriptor, descriptor],
  })
  closeSync(descriptor)
  const { pid } = child
  if (pid === undefined) {
    child.on('error', () => {})
    throw new Error(`${name} could not be started: ${command} is not there or may not be run`)
  }
  watch.write(`start ${pid}\n`)
  const ended = new Promise<number | NodeJS.Signals>(resolve => {
    child.on('exit', (status, signal) => {
      // The leader is gone, but a worker of it may not be.
      killGroup(pid)
      running.delete(pid)
      watch.write(`stop ${pid}\n`)
      resolve(status ?? signal ?? 'SIGKILL')
    })
  })
  const program: Program = {
    name,
    pid,
    ended,
    said: () => tail(log, 2000).trim(),
    async stop() {
      if (!running.has(pid)) return
      signalGroup(pid, 'SIGTERM')
      const patience = setTimeout(() => killGroup(pid), 2000)
      await ended
      clearTimeout(patience)
    },
  }
  running.set(pid, program)
  return program
}

/** Runs a program to its end. Throws when it fails or takes longer than `seconds`. */
export async function finish(command: Command, { seconds }: { seconds: number }): Promise<void> {
  const program = start(command)
  const late = setTimeout(() => killGroup(program.pid), seconds * 1000)
  const status = await program.ended
  clearTimeout(late)
  if (status === 0) return
  const how = typeof status === 'number' ? `exit status ${status}` : `${status}; it had ${seconds} s`
  throw new Error(`${program.name} failed (${how})${quote(program.said())}`)
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running.values()].map(program => program.stop()))
}

/** Ports of 127.0.0.1 that are free now. All are held until the last is found, so that they differ. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports: number[] = []
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') ports.push(address.port)
  }
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Until the program takes connections on this port of 127.0.0.1. Throws when it ends first, or never does. */
export async function untilListening(
  program: Program,
  port: number,
  { seconds = 15 }: { seconds?: number } = {},
): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  while (!(await takesConnections(port))) {
    if (!running.has(program.pid)) {
      throw new Error(`${program.name} ended (${await program.ended}) instead of listening${quote(program.said())}`)
    }
    if (performance.now() > deadline) {
      throw new Error(
        `${program.name} was not listening on 127.0.0.1:${port} within ${seconds} s${quote(program.said())}`,
      )
    }
    await wait(20)
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

export interface Stat {
  readonly parent: number
  /** Clock ticks of the process and of its children that ended and were waited for. */
  readonly ticks: number
}

/** Reads `/proc/PID/stat`, proc(5). The name may hold blanks and parentheses, so what counts begins after the last `)`. */
export function parseStat(line: string): Stat {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const [parent, utime, stime, cutime, cstime] = [1, 11, 12, 13, 14].map(at => Number(fields[at] ?? Number.NaN))
  const ticks = (utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0)
  if (parent === undefined || Number.isNaN(parent + ticks)) throw new Error(`not a /proc stat line: ${line}`)
  return { parent, ticks }
}

/** A process and everything under it, given who is whose child. */
export function tree(root: number, parents: ReadonlyMap<number, number>): readonly number[] {
  const found = [root]
  // The list grows while it is walked.
  for (const parent of found) {
    for (const [pid, its] of parents) if (its === parent && !found.includes(pid)) found.push(pid)
  }
  return found
}

// Linux reports to user space in hundredths of a second on every architecture Node runs on (USER_HZ).
const TICKS_PER_SECOND = 100

/** CPU seconds spent so far, in user and kernel, by this process and all under it. */
export function cpuSeconds(pid: number): number {
  return family(pid).reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND
}

/**
 * Kibibytes that this process and all under it hold in memory (`VmRSS`), or have ever held at once (`VmHWM`); of what they
 * hold, what is theirs (`RssAnon`), and what are pages of files that the system can take back (`RssFile`).
 */
export function memoryOf(pid: number, what: 'VmRSS' | 'VmHWM' | 'RssAnon' | 'RssFile' = 'VmRSS'): number {
  return family(pid).reduce((sum, each) => {
    const found = new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${each.pid}/status`, 'latin1'))
    return sum + Number(found?.[1] ?? 0)
  }, 0)
}

/** A process and all under it. */
function family(pid: number): readonly (Stat & { readonly pid: number })[] {
  const stats = new Map<number, Stat>()
  for (const entry of processes()) {
    try {
      stats.set(entry, parseStat(readFileSync(`/proc/${entry}/stat`, 'latin1')))
    } catch {
      // It ended while we were looking.
    }
  }
  if (!stats.has(pid)) throw new Error(`process ${pid} is gone; what it takes cannot be told`)
  const parents = new Map([...stats].map(([each, { parent }]) => [each, parent]))
  return tree(pid, parents).flatMap(each => {
    const stat = stats.get(each)
    return stat ? [{ ...stat, pid: each }] : []
  })
}

/** Octets that this one process has read so far, from sockets, too; `undefined` where the system does not say. */
export function octetsRead(pid: number): number | undefined {
  try {
    const found = /^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))
    return found ? Number(found[1]) : undefined
  } catch {
    return undefined
  }
}

function processes(): readonly number[] {
  try {
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name))
      .map(Number)
  } catch {
    throw new Error('CPU time is read from /proc, which this system does not have; run the bench on Linux')
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // Nobody left in it.
  }
}

function killGroup(pid: number): void {
  signalGroup(pid, 'SIGKILL')
}

function tail(file: string, length: number): string {
  const descriptor = openSync(file, 'r')
  try {
    const size = fstatSync(descriptor).size
    const end = Buffer.alloc(Math.min(length, size))
    return end.toString('utf8', 0, readSync(descriptor, end, 0, end.length, size - end.length))
  } finally {
    closeSync(descriptor)
  }
}

function quote(said: string): string {
  return said === '' ? '' : `; it said:\n${said}`
}

// Told of every group that starts and stops; ends the rest when its input ends, which it does even if the bench is killed.
const GUARD = `
  groups=' '
  while read -r word group; do
    case $word in
      start) groups="$groups$group " ;;
      stop) groups="\${groups%% $group *} \${groups#* $group }" ;;
    esac
  done
  for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
  rm -rf "$0"
`

function watchOver(): NonNullable<ChildProcess['stdin']> {
  if (!guard) {
    guard = spawn('sh', ['-c', GUARD, workDirectory()], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    guard.stdin?.on('error', () => {})
    guard.unref()
    process.on('exit', cleanUp)
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.on(signal, () => process.exit(status))
    }
  }
  if (!guard.stdin) throw new Error('no pipe to the guard')
  return guard.stdin
}

function cleanUp(): void {
  for (const pid of running.keys()) killGroup(pid)
  if (workspace) rmSync(workspace, { recursive: true, force: true })
}
