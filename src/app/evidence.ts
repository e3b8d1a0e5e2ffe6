/** A diagnosis of what somebody else has heard: captures, transcripts, logs, and what was saved before. */
import { PosternError } from '../base/problem.ts'
import { alterationsBetween, type Both, exactSuspects, paired } from '../diagnosis/both-ends.ts'
import { differences } from '../diagnosis/control.ts'
import { type Diagnosis, diagnose } from '../diagnosis/diagnosis.ts'
import { type Observation, readObservation, sessionsOf } from '../diagnosis/observation.ts'
import { recordOf, sidesOf } from '../diagnosis/sides.ts'
import { readWritten } from '../diagnosis/written.ts'
import { type Connection, readCapture } from '../io/connections.ts'
import { readBytes, readHead } from '../io/files.ts'
import { isCapture } from '../io/pcap.ts'
import type { Found } from './diagnosis.ts'

/** A log of this many octets is read whole; a capture may be of any size. */
export const MAX_WRITTEN: number = 64 * 1024 * 1024

/** Every dialogue of the file, or pair of dialogues, diagnosed. `ports`: where SMTP is spoken besides 25 and 587. */
export function diagnoseFile(file: string, ports: readonly number[] = []): readonly Found[] {
  if (isCapture(readHead(file, 4))) return fromCapture(file, ports)
  const content = readBytes(file)
  if (content.length > MAX_WRITTEN) throw unreadable(file, `it is longer than ${MAX_WRITTEN} octets, and no capture`)
  const saved = observationsIn(content.toString('utf8'))
  if (saved) return saved.map(observation => ({ diagnosis: diagnose(observation), observations: [observation] }))
  const read = readWritten(content.toString('utf8'), file)
  if (!read) {
    const known =
      'pcap, pcapng, a transcript, swaks, openssl s_client, a log of Postfix or Exchange, or what --save wrote'
    throw unreadable(file, `no dialogue is found in it (known: ${known})`)
  }
  const { observation, far } = read
  if (!far) return [{ diagnosis: diagnose(observation), observations: [observation] }]
  const pairs = sessionsOf(observation).flatMap((session, i) => {
    const record = far[i]
    return record ? paired(session, record) : []
  })
  return [{ diagnosis: bothEnds(observation, pairs), observations: [observation] }]
}

function bothEnds(observation: Observation, pairs: readonly Both[]): Diagnosis {
  const alterations = alterationsBetween(pairs)
  return diagnose(observation, { alterations, suspects: exactSuspects(pairs, alterations) })
}

function fromCapture(file: string, ports: readonly number[]): readonly Found[] {
  const { connections, notes, packets } = readCapture(file, ports)
  if (connections.length === 0) {
    const hint = 'SMTP at another port than 25, 587 and 2525 needs --port'
    const observation = {
      vantage: file,
      target: file,
      exchanges: [],
      notes: [...notes, `no SMTP in ${packets} packets; ${hint}`],
    }
    return [{ diagnosis: diagnose(observation), observations: [observation] }]
  }
  const both = sidesOf(connections)
  const inPair = new Set(both.flatMap(({ near, far }) => [near, far]))
  const found: Found[] = []
  // Connections between the same two, with the same on the other side, are one dialogue with several sessions.
  for (const group of groups(
    both,
    ({ near, far }) => `${hostOf(near.client)} ${near.server} ${hostOf(far.client)} ${far.server}`,
  )) {
    const [first] = group
    if (!first) continue
    const observation = observationOf(
      group.map(({ near }) => near),
      file,
      notes,
    )
    const sessions = sessionsOf(observation)
    const pairs = group.flatMap(({ far }, i) => paired(sessions[i] ?? [], recordOf(far.exchanges)))
    const alterations = alterationsBetween(pairs)
    const remarks = [
      `both sides are in the capture: ${first.near.client} to ${first.near.server}, and ${first.far.client} to ${first.far.server} behind it`,
    ]
    const suspects = exactSuspects(pairs, alterations)
    found.push({ diagnosis: diagnose(observation, { alterations, suspects, remarks }), observations: [observation] })
  }
  const single = connections.filter(each => !inPair.has(each))
  for (const group of groups(single, ({ client, server }) => `${hostOf(client)} ${server}`)) {
    const observation = observationOf(group, file, notes)
    found.push({ diagnosis: diagnose(observation), observations: [observation] })
  }
  return found
}

function groups<T>(all: readonly T[], keyOf: (each: T) => string): readonly (readonly T[])[] {
  const found = new Map<string, T[]>()
  for (const each of all) {
    const known = found.get(keyOf(each))
    if (known) known.push(each)
    else found.set(keyOf(each), [each])
  }
  return [...found.values()]
}

function hostOf(end: string): string {
  return end.replace(/:\d+$/, '')
}

function observationOf(connections: readonly Connection[], file: string, notes: readonly string[]): Observation {
  const exchanges = connections.flatMap((each, i) => each.exchanges.map(exchange => ({ ...exchange, session: i + 1 })))
  const [first] = connections
  return { vantage: `${hostOf(first?.client ?? '')} in ${file}`, target: first?.server ?? file, exchanges, notes }
}

/** What `--save` or `--json` wrote. */
export function observationsIn(content: string): readonly Observation[] | undefined {
  if (!content.trimStart().startsWith('{')) return undefined
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch {
    return undefined
  }
  const lists = listsIn(value)
  const read = lists.map(readObservation)
  return read.length > 0 && read.every(each => each !== undefined) ? read : undefined
}

function listsIn(value: unknown): readonly unknown[] {
  if (typeof value !== 'object' || value === null) return []
  if ('observations' in value && Array.isArray(value.observations)) return value.observations
  if ('diagnoses' in value && Array.isArray(value.diagnoses)) return value.diagnoses.flatMap(listsIn)
  return 'exchanges' in value ? [value] : []
}

/** Two saved runs: before and after a change, or from two places. */
export function compareFiles(
  before: string,
  after: string,
): { readonly found: readonly Found[]; readonly changes: readonly string[] } {
  const [a, b] = [before, after].map(file => {
    const [first] =
      observationsIn(readBytes(file).toString('utf8')) ?? diagnoseFile(file).flatMap(({ observations }) => observations)
    if (!first) throw unreadable(file, 'nothing was heard in it')
    return first
  })
  if (!a || !b) return { found: [], changes: [] }
  const found = [a, b].map(observation => ({ diagnosis: diagnose(observation), observations: [observation] }))
  return { found, changes: differences(a, b) }
}

function unreadable(file: string, why: string): PosternError {
  return new PosternError('POSTERN_NO_EVIDENCE', `${file}: ${why}`, { side: 'us', retry: 'never' })
}
