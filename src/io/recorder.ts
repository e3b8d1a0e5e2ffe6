/** Dialogues as transcripts in a folder: so many files, so long each. */
import { createWriteStream, mkdirSync, readdirSync, rmSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import { newId } from '../base/id.ts'
import { PosternError } from '../base/problem.ts'
import type { RecordConfig } from '../firewall/gateway-config.ts'
import { Recorder } from '../transcript/record.ts'
import type { Part } from '../transcript/transcript.ts'
import { now, random } from './clock.ts'
import { inTime, MAX_BACKLOG } from './syslog.ts'

/** One dialogue being recorded. None of these ever throws or waits. */
export interface Recording {
  passed(by: Part, segment: Uint8Array, heard: Uint8Array): void
  /** The firewall itself spoke to the client. */
  answered(octets: Uint8Array): void
  ended(by: Part): void
  close(): void
}

/** Ours, and nobody else's: what does not look so is never deleted. */
const NAME = /^[0-9A-Z]{16}\.smtp$/

export class Recordings {
  readonly #config: RecordConfig
  readonly #files: string[]
  readonly #open = new Set<WriteStream>()
  /** Dialogues that could not be written. */
  failed = 0

  /** Makes the folder, closed to others, where it is missing. */
  constructor(config: RecordConfig) {
    this.#config = config
    try {
      mkdirSync(config.folder, { recursive: true, mode: 0o700 })
      this.#files = readdirSync(config.folder)
        .filter(name => NAME.test(name))
        .sort()
    } catch (cause) {
      const why = (cause as Error).message
      throw new PosternError('POSTERN_CANNOT_RECORD', `cannot record into ${config.folder}: ${why}`, {
        side: 'us',
        retry: 'never',
        cause,
      })
    }
  }

  /** Kept once every record that was closed is on its way to the disk, or the disk takes too long. */
  flushed(): Promise<void> {
    const closing = [...this.#open].filter(({ writableEnded }) => writableEnded)
    return inTime(
      Promise.all(closing.map(stream => new Promise<void>(resolve => stream.once('close', () => resolve())))),
    )
  }

  begin(head: readonly string[]): Recording {
    const name = `${newId(now(), random)}.smtp`
    this.#files.push(name)
    while (this.#files.length > this.#config.files) {
      const oldest = this.#files.shift()
      if (oldest !== undefined) rmSync(join(this.#config.folder, oldest), { force: true })
    }
    const recorder = new Recorder(this.#config)
    // The octets of a file are bounded, and so are those that wait for the disk.
    const stream = createWriteStream(join(this.#config.folder, name), { flags: 'wx', mode: 0o600 })
    this.#open.add(stream)
    stream.once('close', () => this.#open.delete(stream))
    let isOver = false
    const fail = (): void => {
      if (!isOver) this.failed++
      isOver = true
    }
    stream.on('error', fail)
    const flush = (): void => {
      const lines = recorder.take()
      if (isOver || lines.length === 0) return
      if (stream.writableLength > MAX_BACKLOG) return fail()
      stream.write(lines.map(line => `${line}\n`).join(''))
    }
    stream.write(head.map(line => `${line}\n`).join(''))
    return {
      passed(by, segment, heard) {
        if (isOver) return
        recorder.passed(by, segment, heard, now())
        flush()
      },
      answered(octets) {
        recorder.answered(octets, now())
        flush()
      },
      ended(by) {
        recorder.ended(by)
        flush()
      },
      close() {
        recorder.close()
        flush()
        stream.end()
      },
    }
  }
}
