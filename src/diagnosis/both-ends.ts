/** Both ends of one connection: every octet that was altered, which way, and which box would have done exactly this. */
import { bytes, concat, text, upper } from '../base/bytes.ts'
import { Inspector } from '../firewall/inspector.ts'
import type { Alteration, AlterationKind } from './alteration.ts'
import { BOXES, type Box } from './box.ts'
import type { FarRecord, FarStep } from './far-side.ts'
import type { Exchange } from './observation.ts'
import { PROXIES, type ProxyBox, reproducesAsProxy } from './proxy-experiment.ts'
import type { Suspect } from './suspect.ts'

/** One exchange as both ends had it; `far` is absent where nothing of it arrived. */
export interface Both {
  readonly near: Exchange
  readonly far?: FarStep
}

/** Steps that somebody between may have taken by itself before ours arrives. */
const WINDOW = 6

/**
 * Pairs what was said with what arrived. What arrived as it was said is found again behind steps that were none of ours;
 * what arrived masked, in its place; the rest never arrived, and whoever answered it was not the far side.
 */
export function paired(near: readonly Exchange[], { steps }: FarRecord): readonly Both[] {
  let at = 0
  return near.map((exchange, i): Both => {
    const step = steps[at]
    const isNext = step !== undefined && step.arrived === near[i + 1]?.said && step.arrived !== exchange.said
    if (step && (step.arrived === exchange.said || (!isNext && mayHaveBecome(exchange.said, step.arrived)))) {
      at++
      return { near: exchange, far: step }
    }
    const later = steps.slice(at, at + WINDOW).findIndex(({ arrived }) => arrived === exchange.said)
    const far = later < 0 ? undefined : steps[at + later]
    if (far) at += later + 1
    return { near: exchange, ...(far && { far }) }
  })
}

/** May the one have become the other by a mask, or a message by being said anew? */
function mayHaveBecome(said: string, arrived: string): boolean {
  const isMessage = (octets: string) => /\r?\n\.\r?\n$/.test(octets)
  if (isMessage(said) && isMessage(arrived)) return true
  if (said.length !== arrived.length) return false
  return [...said].every((octet, i) => octet === arrived[i] || MASKS.has(arrived[i] ?? ''))
}

/** What the masks of a firewall write (`firewall/mask.ts`). */
const MASKS: ReadonlySet<string> = new Set(['X', 'x', '*', ' ', 'N', 'O', 'P'])

/** Every difference between the ends; each is proven. */
export function alterationsBetween(pairs: readonly Both[]): readonly Alteration[] {
  return pairs.flatMap(({ near, far }, at): readonly Alteration[] => {
    if (!far) {
      const before = near.said.trimEnd()
      const isAnswered = near.heard.length > 0
      const kind: AlterationKind = near.typed ? 'fragment' : isAnswered ? 'reply' : 'cut-off'
      const why = isAnswered
        ? `it never arrived: somebody between answered in the server's place: ${near.heard.join(' / ')}`
        : 'it was said, and the far side never had it'
      return [{ kind, subject: verb(near.said), toward: 'server', before, after: '', grade: 'proven', why, at }]
    }
    return [...towardServer(near, far, at), ...towardClient(near, far, at)]
  })
}

const BOTH_ENDS = 'both ends were heard'

function towardServer({ said, typed }: Exchange, { arrived }: FarStep, at: number): readonly Alteration[] {
  if (said === arrived) return []
  const base = { toward: 'server', grade: 'proven', why: BOTH_ENDS, at } as const
  const isMessage = said.split('\n').length > 2
  if (isMessage) {
    return diff(said.split('\r\n'), arrived.split('\r\n')).map(([before, after]) => ({
      ...base,
      kind: 'content',
      subject: subjectOfLine(before ?? after ?? ''),
      ...(before !== undefined && { before }),
      after: after ?? '',
    }))
  }
  const kind: AlterationKind = typed ? 'fragment' : 'verb'
  return [{ ...base, kind, subject: verb(said), before: said.trimEnd(), after: arrived.trimEnd() }]
}

function subjectOfLine(line: string): string {
  return /^([A-Za-z][A-Za-z0-9-]{0,40}):/.exec(line)?.[1]?.toUpperCase() ?? 'BODY'
}

function towardClient({ heard, said }: Exchange, { answered, arrived }: FarStep, at: number): readonly Alteration[] {
  if (heard.join('\n') === answered.join('\n')) return []
  const base = { toward: 'client', grade: 'proven', why: BOTH_ENDS, at } as const
  if (said === '')
    return [{ ...base, kind: 'greeting', subject: '', before: answered.join('\r\n'), after: heard.join('\r\n') }]
  if (verb(arrived) !== 'EHLO') {
    return [{ ...base, kind: 'reply', subject: verb(said), before: answered.join('\r\n'), after: heard.join('\r\n') }]
  }
  // The last line of a list has a blank where the others have a dash: that moves when lines are taken away.
  const [sent, got] = [answered, heard].map(lines => lines.map(line => line.slice(4)))
  return diff(sent ?? [], got ?? []).map(([before, after]): Alteration => {
    const subject = upper((before ?? after ?? '').split(/[ =]/, 1)[0] ?? '')
    if (before === undefined) return { ...base, kind: 'keyword-added', subject, after: after ?? '' }
    if (after === undefined) return { ...base, kind: 'keyword-missing', subject, before, after: '' }
    return { ...base, kind: 'keyword-masked', subject, before, after, candidates: [before] }
  })
}

function verb(said: string): string {
  return upper(said.trimStart().split(/\s/, 1)[0] ?? '')
}

/** Lines that one side has and the other has not, in pairs where one took the other's place. */
export function diff(
  before: readonly string[],
  after: readonly string[],
): readonly (readonly [string | undefined, string | undefined])[] {
  if (before.length === after.length) {
    return before.flatMap((line, i) => (line === after[i] ? [] : [[line, after[i]] as const]))
  }
  const [kept, come] = [new Set(before), new Set(after)]
  const gone = before.filter(line => !come.has(line))
  const added = after.filter(line => !kept.has(line))
  const pairs: (readonly [string | undefined, string | undefined])[] = []
  for (const line of gone) {
    const i = added.findIndex(each => each.length === line.length)
    pairs.push([line, i < 0 ? undefined : added.splice(i, 1)[0]])
  }
  return [...pairs, ...added.map(line => [undefined, line] as const)]
}

/** Would this box, given what either end said, have let out exactly what the other heard? */
export function reproduces({ policy }: Box, pairs: readonly Both[]): boolean {
  let session = 0
  let inspector = new Inspector(policy)
  for (const { near, far } of pairs) {
    if (near.session !== session) {
      session = near.session
      inspector = new Inspector(policy)
    }
    const out = (from: 'client' | 'server', octets: Uint8Array): readonly Uint8Array[] =>
      inspector.receive(from, octets).flatMap(output => (output.kind === 'forward' ? [output.bytes] : []))
    const said = bytes(near.said)
    const segments = near.typed ? [...said].map(octet => Uint8Array.of(octet)) : said.length > 0 ? [said] : []
    const arrived = text(concat(segments.flatMap(segment => out('client', segment))))
    if (arrived !== (far?.arrived ?? '')) return false
    if (!far) continue
    const answered = bytes(far.answered.map(line => `${line}\r\n`).join(''))
    if (text(concat(out('server', answered))) !== near.heard.map(line => `${line}\r\n`).join('')) return false
  }
  return true
}

/** Who does exactly this: the plainest first, with those that cannot be told from it by what was said. */
export function exactSuspects(pairs: readonly Both[], alterations: readonly Alteration[]): readonly Suspect[] {
  if (alterations.length === 0) return []
  const exact: readonly (Box | ProxyBox)[] = [
    ...BOXES.filter(box => reproduces(box, pairs)).toSorted((a, b) => a.oddities - b.oddities),
    ...PROXIES.filter(box => reproducesAsProxy(box, pairs)),
  ]
  const [first, ...others] = exact
  if (!first) return []
  return [
    {
      id: first.id,
      name: first.name,
      vendor: first.vendor,
      grade: others.length === 0 ? 'proven' : 'likely',
      explains: alterations.map((_, i) => i),
      leaves: [],
      by: 'experiment',
      alike: others.map(({ name }) => name),
      marks: [],
    },
  ]
}
