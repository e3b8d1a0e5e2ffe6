/** A mail server of its own on loopback, as a process that is signalled, asked and looked at. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT, Talk } from './postern.ts'

export interface After {
  after(work: () => unknown): void
}

export interface Place {
  readonly folder: string
  readonly file: string
  /** Writes the configuration anew. */
  write(lines: readonly string[]): void
}

export function place(t: After, lines: readonly string[]): Place {
  const folder = mkdtempSync(join(tmpdir(), 'mail-service-'))
  // Another user than ours may have to get here.
  chmodSync(folder, 0o755)
  // A server that is being killed may still write.
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  const file = join(folder, 'mail.conf')
  const write = (text: readonly string[]) => writeFileSync(file, `${text.join('\n')}\n`)
  write(lines)
  return { folder, file, write }
}

export interface Running {
  readonly child: ChildProcess
  said(): string
  /** Waits until it has said this, from the place on where it was asked last. */
  says(what: RegExp): Promise<string>
  /** Its exit status, once asked to end. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

/** Runs it until it listens. */
export async function start(t: After, file: string, args: readonly string[] = []): Promise<Running> {
  const child = spawn(`${ROOT}/postern`, ['mta', 'run', file, ...args], { cwd: ROOT })
  let said = ''
  let from = 0
  t.after(() => child.kill('SIGKILL'))
  for (const stream of [child.stderr, child.stdout]) {
    stream.on('data', chunk => {
      said += chunk
    })
  }
  const says = async (what: RegExp): Promise<string> => {
    for (let i = 0; i < 1_000 && !what.test(said.slice(from)) && child.exitCode === null; i++) await sleep(20)
    const found = what.exec(said.slice(from))
    assert.ok(found, `${what} in ${said.slice(from)}`)
    from += found.index + found[0].length
    return found[0]
  }
  const end = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    child.kill(signal)
    if (child.exitCode === null) await once(child, 'exit')
    return child.exitCode
  }
  await says(/listening at .*\n/)
  return { child, said: () => said, says, end }
}

/** Hands in one message, and gives back the reply to its end, or the first that was not as it should be. */
export async function handIn(
  port: number,
  { from = 'bob@b.example', to }: { readonly from?: string; readonly to: string },
): Promise<string> {
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  for (const line of ['EHLO client.example', `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'DATA']) {
    const heard = await talk.ask(line)
    if (!/^[23]5/.test(heard)) {
      talk.close()
      return heard
    }
  }
  talk.say('Subject: hi\r\nMessage-ID: <1@client.example>\r\n\r\nhello\r\n.\r\n')
  const heard = await talk.hear()
  talk.close()
  return heard
}

/** The JSON lines of a log, as they are now. */
export function logged(path: string): readonly Readonly<Record<string, unknown>>[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Readonly<Record<string, unknown>>)
}

/** Waits until it holds. */
export async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await what()) return
    await sleep(20)
  }
  assert.fail(`never held: ${what}`)
}
