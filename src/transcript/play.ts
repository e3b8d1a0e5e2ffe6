import { text } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import type { Instant } from '../base/time.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Failure } from './format.ts'
import { assemble, showCame, showWanted } from './format.ts'
import type { Bindings, Came, Pattern, Way } from './match.ts'
import { compare, linesCame, linesWanted, literally, matchLines, readPattern, share } from './match.ts'
import { parseTranscript } from './parse.ts'
import type { Cut, Part, Scene, Section, Speech, Transcript, Turn, Words } from './transcript.ts'
import { isInput, readDirection, readScenes, sectionLines, segments, spokenBy, WHOLE } from './transcript.ts'

export { type Failure, formatFailure } from './format.ts'
export { BYTEWISE, type Cut, cuttings, type Part, sayCut, WHOLE } from './transcript.ts'

/** Something a subject did. */
export type Act =
  /** Words came out as this part's: a server says by `S`, a client by `C`; a firewall lets out what `by` had said. */
  | { readonly kind: 'say'; readonly by: Part; readonly bytes: Uint8Array }
  /** The firewall speaks to the client for itself. */
  | { readonly kind: 'firewall-says'; readonly bytes: Uint8Array }
  /** The subject closed its connection, or both of them. */
  | { readonly kind: 'close' }
  | { readonly kind: 'start-tls' }
  /** A line for a result section, such as `verdicts`. */
  | { readonly kind: 'note'; readonly section: string; readonly line: string }

/** What is under test, behind one face. */
export interface Subject {
  /** The parts the subject plays: a server `['S']`, a client `['C']`, a firewall none, as it stands between. */
  readonly parts: readonly Part[]
  open(direction: string, now: Instant): readonly Act[]
  hear(from: Part, segment: Uint8Array, now: Instant): readonly Act[]
  /** A stage direction that is not built in; `undefined` when the subject does not know it either. */
  direct(text: string, now: Instant): readonly Act[] | undefined
  end(from: Part, now: Instant): readonly Act[]
  tick(now: Instant): readonly Act[]
  readonly deadline: Instant | undefined
}

export interface Played {
  readonly failures: readonly Failure[]
  /** The transcript as it would have to be for this subject. Prose, notes and inputs are still the author's. */
  readonly rewritten: Transcript
}

/** When every transcript begins: Sat, 29 Sep 2001 17:09:18 +0000. */
export const CURTAIN: Instant = 1_001_783_358_000

/** So many ticks while time passes mean that the subject's deadline does not move on. */
const TICKS_AT_MOST = 1_000_000

/** Play a transcript against a subject. The subject may fail in any way but by throwing. */
export function play(
  transcript: Transcript,
  makeSubject: (transcript: Transcript) => Subject,
  { cut = WHOLE }: { cut?: Cut } = {},
): Played {
  return new Player(transcript, makeSubject(transcript), cut).play()
}

/** What the author wrote of a scene, and what to write instead. */
type Edits = Map<Turn, readonly string[]>

class Player {
  readonly #transcript: Transcript
  readonly #subject: Subject
  readonly #cut: Cut
  readonly #failures: Failure[] = []
  readonly #notes = new Map<string, string[]>()
  #now: Instant = CURTAIN
  #bound: Bindings = new Map()
  /** `told` once it was said that someone goes on speaking, so that it is said only once. */
  #connection: 'open' | 'closed' | 'told' = 'open'

  constructor(transcript: Transcript, subject: Subject, cut: Cut) {
    this.#transcript = transcript
    this.#subject = subject
    this.#cut = cut
  }

  play(): Played {
    const { scenes, misplaced } = readScenes(this.#transcript, this.#subject.parts)
    for (const turn of misplaced) this.#fail('this line has no meaning here', turn.at)
    const dialogue = scenes.flatMap((scene, i) => this.#play(scene, scenes[i + 1]))
    const text = assemble(this.#transcript, { dialogue, sections: this.#results() })
    return { failures: this.#failures, rewritten: parseTranscript(text, this.#transcript.file).transcript }
  }

  #play(scene: Scene, next: Scene | undefined): readonly string[] {
    const acts = this.#give(scene)
    const edits: Edits = new Map()
    const { input } = scene
    let rest = acts
    if (input.kind === 'spoken' && this.#subject.parts.length === 0) {
      // What a firewall lets out belongs to the line it came in by; all else follows the input as a whole.
      const passed = acts.flatMap(act => (act.kind === 'say' && act.by === input.by ? [text(act.bytes)] : []))
      this.#comparePassed(input.speeches, passed.join(''), edits)
      rest = acts.filter(act => act.kind !== 'say' || act.by !== input.by)
    }
    this.#compareWanted(scene, linesCame(rest.flatMap(cameOf)), edits)
    const lines = scene.turns.flatMap(turn => edits.get(turn) ?? [turn.at.text])
    // With nothing left between them, this speech and the next by the same speaker would become one segment.
    const isBare = scene.wants.length > 0 && scene.wants.every(want => edits.get(want)?.length === 0)
    const goesOn = input.kind === 'spoken' && next?.input.kind === 'spoken' && input.by === next.input.by
    return isBare && goesOn ? [...lines, '(segment ends)'] : lines
  }

  /** Give the subject a scene's input, and what falls due with it. */
  #give({ input, last }: Scene): readonly Act[] {
    const acts: Act[] = []
    const take = (some: readonly Act[]) => {
      for (const act of some) acts.push(this.#heed(act))
    }
    switch (input.kind) {
      case 'nothing':
      case 'pass':
        break
      case 'connects':
        this.#connection = 'open'
        take(this.#subject.open(input.text, this.#now))
        break
      case 'spoken':
        if (this.#connection === 'closed' && last) {
          this.#connection = 'told'
          this.#fail('the connection is closed, so nobody hears this', last.at)
        }
        for (const segment of segments(input.speeches, this.#transcript, this.#cut)) {
          if (this.#connection === 'open') take(this.#subject.hear(input.by, segment, this.#now))
        }
        break
      case 'ends':
        if (this.#subject.parts.includes(input.by)) {
          if (last) this.#fail('the subject itself closes: expect that with (connection closes)', last.at)
        } else if (this.#connection === 'open') {
          take(this.#subject.end(input.by, this.#now))
        }
        break
      case 'other': {
        const done = this.#subject.direct(input.text, this.#now)
        if (done) take(done)
        else if (last) this.#fail('nobody knows this direction', last.at)
        break
      }
      default:
        return unreachable(input)
    }
    this.#advance(this.#now + (input.kind === 'pass' ? input.duration : 0), take, last)
    return acts
  }

  #advance(until: Instant, take: (acts: readonly Act[]) => void, last: Turn | undefined): void {
    for (let ticks = 0; this.#subject.deadline !== undefined && this.#subject.deadline <= until; ticks++) {
      if (ticks === TICKS_AT_MOST) {
        if (last) this.#fail(`the deadline does not move on: ${ticks} ticks so far`, last.at)
        break
      }
      this.#now = Math.max(this.#now, this.#subject.deadline)
      take(this.#subject.tick(this.#now))
    }
    this.#now = until
  }

  #heed(act: Act): Act {
    if (act.kind === 'close') this.#connection = 'closed'
    if (act.kind === 'note') {
      const lines = this.#notes.get(act.section) ?? []
      lines.push(act.line.replace(/[\r\n]/g, end => (end === '\r' ? '\\r' : '\\n')))
      this.#notes.set(act.section, lines)
    }
    return act
  }

  #comparePassed(speeches: readonly Speech[], passed: string, edits: Edits): void {
    const outcomes = speeches.map(outcomeOf)
    const wanted = linesWanted(outcomes.flatMap((pattern, turn) => ({ way: '=>', pattern, turn }) as const))
    const came = linesCame([{ way: '=>', text: passed }])
    const { same, before, missing, extra, bound } = compare(wanted, came, this.#bound)
    this.#bound = bound
    if (same) return
    const speech = speeches[missing[0]?.from ?? (wanted[before - 1]?.to ?? -1) + 1] ?? speeches.at(-1)
    const at = speech?.heard[0]?.at ?? speech?.turn.at
    if (at) this.#fail('this is not what came out', at, { expected: missing.map(showWanted), got: extra.map(showCame) })

    const spoken = speeches.map(speech => text(speech.bytes))
    const shares = share(spoken, passed)
    for (const [i, { turn, heard }] of speeches.entries()) {
      const mine = linesCame([{ way: '=>', text: shares[i] ?? '' }])
      const stands = compare(linesWanted([{ way: '=>', pattern: outcomes[i] ?? [], turn: 0 }]), mine, bound).same
      if (stands) continue
      const asIs = shares[i] === spoken[i]
      edits.set(turn, [turn.at.text, ...(asIs ? [] : mine.length === 0 ? ['=|'] : mine.map(showCame))])
      for (const old of heard) edits.set(old, [])
    }
  }

  #compareWanted({ wants, last }: Scene, came: readonly Came[], edits: Edits): void {
    const wanted = linesWanted(wants.map((want, turn) => ({ ...this.#wantOf(want), turn })))
    const { same, before, missing, extra, bound } = compare(wanted, came, this.#bound)
    this.#bound = bound
    if (same) return
    const anchor = wants[wanted[before - 1]?.to ?? -1] ?? last
    const first = missing[0]?.from
    const at = (first === undefined ? anchor : wants[first])?.at
    if (at) this.#fail('this is not what came', at, { expected: missing.map(showWanted), got: extra.map(showCame) })

    const others: readonly Way[] = (['C', 'S'] as const).filter(part => !this.#subject.parts.includes(part))
    const written = extra.filter(line => !others.includes(line.way)).map(showCame) // as another's line it would be input
    const end = missing.at(-1)?.to
    if (first !== undefined && end !== undefined) {
      for (const [i, want] of wants.slice(first, end + 1).entries()) {
        edits.set(want, written.slice(i, first + i === end ? written.length : i + 1))
      }
    } else if (anchor) {
      edits.set(anchor, [...(edits.get(anchor) ?? [anchor.at.text]), ...written])
    }
  }

  #wantOf(turn: Turn): { way: Way; pattern: Pattern } {
    if (turn.kind === 'firewall') return { way: 'F', pattern: patternOf(turn) }
    if (turn.kind === 'line') return { way: turn.by, pattern: patternOf(turn) }
    const spoken = spokenBy(turn, this.#transcript.sections)
    if (spoken) return { way: spoken.by, pattern: readPattern(text(spoken.bytes)) }
    const closes = turn.kind === 'direction' && readDirection(turn.text, this.#transcript.sections).kind === 'closes'
    return { way: closes ? 'closes' : 'tls', pattern: [] }
  }

  /** All sections, with those rewritten whose lines turned out otherwise. */
  #results(): ReadonlyMap<string, Section> {
    const { sections } = this.#transcript
    const names = new Set([...sections.keys(), ...this.#notes.keys()].filter(name => !isInput(this.#transcript, name)))
    return new Map([...sections, ...[...names].flatMap(name => this.#compareResult(name, sections.get(name)))])
  }

  #compareResult(name: string, section: Section | undefined): readonly (readonly [string, Section])[] {
    const expected = withoutEnd(section ? sectionLines(section) : [])
    const got = withoutEnd(this.#notes.get(name) ?? [])
    const bound = matchLines(expected, got, this.#bound)
    if (bound && (section || got.length === 0)) {
      this.#bound = bound
      return []
    }
    const at = section?.at ?? { file: this.#transcript.file, line: 1, column: 1, length: 1, text: `-- ${name} --` }
    if (!section) this.#fail(`no section is called "${name}"`, at, { expected, got })

    const wanted = expected.map((line, i) => ({ way: 'note', pattern: readPattern(line), from: i, to: i }) as const)
    const came = got.map(text => ({ way: 'note', text }) as const)
    // With lines skipped, nobody can say which line stands for which.
    const fitting = expected.includes('...') ? { before: 0, after: 0 } : compare(wanted, came, this.#bound)
    const missing = expected.slice(fitting.before, expected.length - fitting.after)
    const extra = got.slice(fitting.before, got.length - fitting.after)
    const line = missing[0] === undefined ? at : { ...at, line: at.line + 1 + fitting.before, text: missing[0] }
    if (section) this.#fail(`section "${name}" is not what came`, line, { expected: missing, got: extra })
    const lines = [...expected.slice(0, fitting.before), ...extra, ...expected.slice(expected.length - fitting.after)]
    const rewritten = lines.map(line => `${line}\n`).join('')
    return [[name, { name, text: rewritten, blankAfter: section?.blankAfter ?? false, at }]]
  }

  #fail(message: string, at: SourceRef, lines: Pick<Failure, 'expected' | 'got'> = { expected: [], got: [] }): void {
    this.#failures.push({ message, at, ...lines, cut: this.#cut })
  }
}

function cameOf(act: Act): readonly Came[] {
  switch (act.kind) {
    case 'say':
      return [{ way: act.by, text: text(act.bytes) }]
    case 'firewall-says':
      return [{ way: 'F', text: text(act.bytes) }]
    case 'close':
      return [{ way: 'closes', text: '' }]
    case 'start-tls':
      return [{ way: 'tls', text: '' }]
    case 'note':
      return []
    default:
      return unreachable(act)
  }
}

function patternOf({ bytes, exact }: Words): Pattern {
  return exact ? literally(text(bytes)) : readPattern(text(bytes))
}

/** What must come out of a firewall for one speech: what its `=>` lines say, or else the speech itself. */
function outcomeOf({ bytes, heard }: Speech): Pattern {
  if (heard.length === 0) return literally(text(bytes))
  return heard.flatMap(turn => (turn.kind === 'heard' ? patternOf(turn) : []))
}

function withoutEnd(lines: readonly string[]): readonly string[] {
  return lines.slice(0, lines.findLastIndex(line => line !== '') + 1)
}
