import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { concat } from '../../src/base/bytes.ts'
import { BOXES } from '../../src/diagnosis/box.ts'
import type { Diagnosis } from '../../src/diagnosis/diagnosis.ts'
import { readCapture } from '../../src/io/connections.ts'
import { type Frame, frames, pcap, records } from '../../test/diagnosis/capture.ts'
import { confusion, namedIn } from '../../test/diagnosis/confusion.ts'
import { REAL, visited, withServer } from '../../test/diagnosis/real.ts'
import { unmet } from '../../test/interop/needs.ts'
import { type CaseReport, type Order, type Report, type Sample, table } from './harness.ts'
import { workDirectory } from './process.ts'

export const description = 'who is named for which box, before which server; how long a verdict takes; captures of 1 GB'

const OURS = 'postern'
export const subjects: readonly string[] = [OURS]
const WORDS = 'words'
const CAPTURE = 'capture'
export const cases: readonly string[] = [WORDS, ...Object.keys(REAL), CAPTURE]

const GIGABYTE = 1_000_000_000

export async function run({ quick, cases: asked, note }: Order): Promise<Report> {
  const found: CaseReport[] = []
  for (const name of asked) {
    note(name)
    if (name === CAPTURE) found.push(capture(quick ? GIGABYTE / 10 : GIGABYTE))
    else if (name === WORDS) found.push(fromWords())
    else {
      const report = await fromServer(name, quick)
      if (typeof report === 'string') note(`${name} is left out: ${report}`)
      else found.push(report)
    }
  }
  return {
    metrics: [
      { name: 'boxes', unit: 'tried' },
      { name: 'named alone', unit: 'boxes' },
      { name: 'named among equals', unit: 'boxes' },
      { name: 'not named', unit: 'boxes' },
      { name: 'visit', unit: 'ms' },
      { name: 'read', unit: 'MB/s' },
      { name: 'memory grown', unit: 'MB' },
    ],
    ours: [OURS],
    peers: [],
    cases: found,
    versions: [`${BOXES.length} boxes and variants`],
  }
}

type Named = ReturnType<typeof namedIn>
const MARKS: Readonly<Record<Named, string>> = { first: '●', among: '○', not: '–' }

function fromWords(): CaseReport {
  const all = confusion()
  const servers = [...new Set(all.map(({ server }) => server))]
  const lines = BOXES.map(box => {
    const mine = all.filter(row => row.box === box)
    return [
      box.id,
      ...servers.map(server => mine.find(row => row.server === server)?.named ?? 'not').map(named => MARKS[named]),
      others(
        mine.map(row => row.diagnosis),
        box.id,
      ),
    ]
  })
  console.log(
    `\ntrue box × server: ● named alone, ○ named with others whom the same evidence fits, – not named; then who is named first instead\n`,
  )
  console.log(table([['true box', ...servers, 'named first instead'], ...lines]))
  const sample = counted(all.map(({ named }) => named))
  return {
    name: WORDS,
    title: 'every box before six servers by their words, in virtual time',
    samples: new Map([[OURS, [sample]]]),
  }
}

function others(diagnoses: readonly Diagnosis[], id: string): string {
  const first = diagnoses.map(({ suspects }) => suspects[0]?.id ?? 'nobody').filter(each => each !== id)
  return [...new Set(first)].join(', ')
}

function counted(named: readonly Named[]): Sample {
  const count = (which: Named) => named.filter(each => each === which).length
  return {
    boxes: named.length,
    'named alone': count('first'),
    'named among equals': count('among'),
    'not named': count('not'),
  }
}

async function fromServer(name: string, quick: boolean): Promise<CaseReport | string> {
  const real = REAL[name]
  if (!real) return 'there is no such server'
  const why = unmet(real.needs)
  if (why !== false) return why
  return withServer(real, async port => {
    const named: Named[] = []
    const times: number[] = []
    const lines: (readonly string[])[] = []
    for (const box of BOXES.filter(({ oddities }) => !quick || oddities === 0)) {
      const began = performance.now()
      const diagnosis = await visited(port, box)
      times.push(performance.now() - began)
      named.push(namedIn(diagnosis, box))
      lines.push([box.id, diagnosis.suspects[0]?.id ?? 'nobody', MARKS[named.at(-1) ?? 'not']])
    }
    console.log(`\n${name}, on sockets\n`)
    console.log(table([['true box', 'named', ''], ...lines]))
    const visit = times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0
    return {
      name,
      title: `${name} behind every box, on sockets`,
      samples: new Map([[OURS, [{ ...counted(named), visit }]]]),
    }
  })
}

/** A capture of mail after mail, written piece by piece and read at once. */
function capture(octets: number): CaseReport {
  const folder = mkdtempSync(join(workDirectory(), 'capture-'))
  const path = join(folder, 'large.pcap')
  const size = write(path, octets)
  globalThis.gc?.()
  const before = process.memoryUsage.rss()
  let most = before
  const began = performance.now()
  // Read synchronously: what it holds at its end is close to the most it held.
  const { connections, packets } = readCapture(path)
  most = Math.max(most, process.memoryUsage.rss())
  const seconds = (performance.now() - began) / 1_000
  rmSync(folder, { recursive: true })
  console.log(
    `\n${packets.toLocaleString('en-US')} packets, ${connections.length} connections kept, ${(size / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s`,
  )
  const sample = { read: size / 1e6 / seconds, 'memory grown': (most - before) / 1e6 }
  return { name: CAPTURE, title: `a capture of ${(octets / 1e9).toFixed(1)} GB`, samples: new Map([[OURS, [sample]]]) }
}

function write(path: string, octets: number): number {
  const line = (words: string) => Buffer.from(`${words}\r\n`, 'latin1')
  const body = Array.from({ length: 700 }, () => ({ by: 'C' as const, octets: Buffer.alloc(1_400, 'x') }))
  const pieces = [
    { by: 'S' as const, octets: line(`220 ${'*'.repeat(60)}`) },
    { by: 'C' as const, octets: line('HELO a.example') },
    { by: 'S' as const, octets: line('250 mail.example') },
    { by: 'C' as const, octets: line('DATA') },
    { by: 'S' as const, octets: line('354 Go ahead') },
    ...body,
    { by: 'C' as const, octets: line('\r\n.') },
    { by: 'S' as const, octets: line('250 Ok') },
  ]
  const all: readonly Frame[] = frames(pieces)
  const file = openSync(path, 'w')
  let written = writeSync(file, pcap('ethernet', []))
  for (let port = 1_024; written < octets; port++) {
    written += writeSync(file, concat(records('ethernet', all, { client: port % 65_536, server: 25 })))
  }
  closeSync(file)
  return written
}
