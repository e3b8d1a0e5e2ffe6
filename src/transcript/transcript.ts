import { concat, text, utf8 } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import { type Duration, parseDuration } from '../base/time.ts'

/** Who speaks in a dialogue: the client or the server. */
export type Part = 'C' | 'S'

/**
 * A dialogue as a play script, with what is under test around it. `docs/transcripts.md` tells how to write one.
 *
 * Whatever stands on one line keeps that line as the author wrote it in `at.text`, and that is what is written back.
 */
export interface Transcript {
  readonly file: string
  /** Everything before the first section, in the author's order. */
  readonly head: readonly HeadLine[]
  /** The prose lines of the head, without their `# `. For reading: only `head` is written back. */
  readonly prose: readonly string[]
  /** The headers of the head: `subject` → `firewall`. For looking up: only `head` is written back. */
  readonly headers: ReadonlyMap<string, string>
  /** Every section but the dialogue. */
  readonly sections: ReadonlyMap<string, Section>
  readonly dialogue: readonly Turn[]
  /** The names of all sections in the author's order, `dialogue` among them. */
  readonly order: readonly string[]
}

export type HeadLine =
  | { readonly kind: 'prose'; readonly text: string; readonly at: SourceRef }
  | { readonly kind: 'header'; readonly name: string; readonly value: string; readonly at: SourceRef }
  | { readonly kind: 'blank'; readonly at: SourceRef }

export interface Section {
  readonly name: string
  /** The lines, each with its LF. One blank line at the end is layout, and is not among them. */
  readonly text: string
  readonly blankAfter: boolean
  /** The marker. The section's first line is the next one, which is how a fault inside it finds its place. */
  readonly at: SourceRef
}

/** Bytes of a dialogue line. `exact` is a JSON string with nothing added; otherwise CR LF was added to the text. */
export interface Words {
  readonly bytes: Uint8Array
  readonly exact: boolean
  readonly at: SourceRef
}

export type Turn =
  | ({ readonly kind: 'line'; readonly by: Part } & Words) // C: text, S= "exact"
  | ({ readonly kind: 'heard' } & Words) // => text: the line above came out as this
  | { readonly kind: 'lost'; readonly at: SourceRef } // =|: it never came out
  | ({ readonly kind: 'firewall' } & Words) // F: text: the firewall speaks to the client for itself
  | { readonly kind: 'direction'; readonly text: string; readonly at: SourceRef } // (text)
  | { readonly kind: 'note'; readonly text: string; readonly at: SourceRef } // # text
  | { readonly kind: 'blank'; readonly at: SourceRef }

/** The lines of a section, without their line ends. */
export function sectionLines({ text }: Section): readonly string[] {
  return text.split('\n').slice(0, -1)
}

/** What a stage direction asks for. `other` is for the subject to understand. */
export type Direction =
  | { readonly kind: 'connects' }
  | { readonly kind: 'ends'; readonly by: Part }
  | { readonly kind: 'pass'; readonly duration: Duration }
  | { readonly kind: 'sends'; readonly by: Part; readonly section: Section; readonly raw: boolean }
  | { readonly kind: 'segment-ends' }
  | { readonly kind: 'closes' } // the subject is expected to close
  | { readonly kind: 'tls' } // the subject is expected to start TLS
  | { readonly kind: 'other' }

const FIXED: ReadonlyMap<string, Direction> = new Map<string, Direction>([
  ['client connects', { kind: 'connects' }],
  ['client closes', { kind: 'ends', by: 'C' }],
  ['server closes', { kind: 'ends', by: 'S' }],
  ['segment ends', { kind: 'segment-ends' }],
  ['connection closes', { kind: 'closes' }],
  ['tls starts', { kind: 'tls' }],
])

const SENDS = [
  ['client sends ', 'C'],
  ['server sends ', 'S'],
] as const

export function readDirection(direction: string, sections: ReadonlyMap<string, Section>): Direction {
  const fixed = FIXED.get(direction)
  if (fixed) return fixed
  if (direction.startsWith('client connects ')) return { kind: 'connects' }
  const duration = parseDuration(/^(\S+) pass(?:es)?$/.exec(direction)?.[1] ?? '')
  if (duration !== undefined) return { kind: 'pass', duration }
  for (const [words, by] of SENDS) {
    if (!direction.startsWith(words)) continue
    const name = direction.slice(words.length)
    const whole = sections.get(name)
    // What a server sends has no dots to stuff: only a client sends messages.
    if (whole) return { kind: 'sends', by, section: whole, raw: by === 'S' }
    const section = name.endsWith(' raw') ? sections.get(name.slice(0, -' raw'.length)) : undefined
    if (section) return { kind: 'sends', by, section, raw: true }
  }
  return { kind: 'other' }
}

/** A section as it goes over the wire: raw, or as message data with dots stuffed and the final dot (RFC 5321 §4.5.2). */
export function sectionBytes(section: Section, { raw }: { raw: boolean }): Uint8Array {
  const lines = sectionLines(section)
  if (raw) return utf8(lines.map(line => `${line}\r\n`).join(''))
  return utf8(`${lines.map(line => `${line.startsWith('.') ? '.' : ''}${line}\r\n`).join('')}.\r\n`)
}

/** Is this section something given to the subject? All others are results, and are compared at the end. */
export function isInput(transcript: Transcript, name: string): boolean {
  if (name === 'config' || name === 'envelope' || name.startsWith('message')) return true
  return transcript.dialogue.some(turn => {
    const direction = turn.kind === 'direction' ? readDirection(turn.text, transcript.sections) : undefined
    return direction?.kind === 'sends' && direction.section.name === name
  })
}

/** Before which octets a line end may be torn: at CR, at LF, and after it. Never 0; the length itself may be there. */
export function tears(bytes: Uint8Array): readonly number[] {
  const octets = text(bytes)
  const ends: number[] = []
  for (let lf = octets.indexOf('\n'); lf >= 0; lf = octets.indexOf('\n', lf + 1)) ends.push(lf)
  // Every tear is one more play of everything: with all of a long message's, the work would grow with its square.
  const some = ends.length <= 8 ? ends : [...ends.slice(0, 4), ...ends.slice(-4)]
  const places = some.flatMap(lf => (octets[lf - 1] === '\r' ? [lf - 1, lf, lf + 1] : [lf, lf + 1]))
  return [...new Set(places)].filter(place => place > 0)
}

/** One thing that is given to the subject, and everything up to the next. */
export interface Scene {
  readonly input: Input
  /** All its turns, in order. */
  readonly turns: readonly Turn[]
  /** Those of them that the subject must bring about, in order. */
  readonly wants: readonly Turn[]
  /** The last turn of the input. */
  readonly last: Turn | undefined
}

export type Input =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'connects' | 'other'; readonly text: string }
  | { readonly kind: 'spoken'; readonly by: Part; readonly speeches: readonly Speech[] }
  | { readonly kind: 'ends'; readonly by: Part }
  | { readonly kind: 'pass'; readonly duration: Duration }

export interface Speech {
  readonly turn: Turn
  readonly bytes: Uint8Array
  /** The `=>` and `=|` turns below it. */
  readonly heard: readonly Turn[]
  /** `(segment ends)` follows, so what comes next is not sent together with this. */
  readonly endsSegment: boolean
}

/** The bytes that a turn speaks, and who speaks them; `undefined` for turns that are no `C` or `S` words. */
export function spokenBy(
  turn: Turn,
  sections: ReadonlyMap<string, Section>,
): { by: Part; bytes: Uint8Array } | undefined {
  if (turn.kind === 'line') return { by: turn.by, bytes: turn.bytes }
  const direction = turn.kind === 'direction' ? readDirection(turn.text, sections) : undefined
  return direction?.kind === 'sends'
    ? { by: direction.by, bytes: sectionBytes(direction.section, direction) }
    : undefined
}

/**
 * Divide the dialogue for a subject that plays these parts; none means a firewall, that stands between. Turns that can
 * mean nothing where they stand are `misplaced`.
 */
export function readScenes(
  { dialogue, sections }: Transcript,
  parts: readonly Part[],
): { readonly scenes: readonly Scene[]; readonly misplaced: readonly Turn[] } {
  const scenes: { input: Input; turns: Turn[]; wants: Turn[]; last: Turn | undefined }[] = []
  const misplaced: Turn[] = []
  let speeches: { turn: Turn; bytes: Uint8Array; heard: Turn[]; endsSegment: boolean }[] = []
  const begin = (input: Input, turn?: Turn) => scenes.push({ input, turns: turn ? [turn] : [], wants: [], last: turn })
  begin({ kind: 'nothing' })

  for (const turn of dialogue) {
    const scene = scenes.at(-1)
    if (!scene) break
    const speaking = scene.input.kind === 'spoken' && scene.wants.length === 0
    const speech = speaking ? speeches.at(-1) : undefined
    const direction = turn.kind === 'direction' ? readDirection(turn.text, sections) : undefined
    const spoken = spokenBy(turn, sections)

    if (spoken && !parts.includes(spoken.by)) {
      const goesOn = speaking && scene.input.kind === 'spoken' && scene.input.by === spoken.by
      if (!goesOn) {
        speeches = []
        begin({ kind: 'spoken', by: spoken.by, speeches }, turn)
      }
      speeches.push({ turn, bytes: spoken.bytes, heard: [], endsSegment: false })
      if (!goesOn) continue
      scene.last = turn
    } else if (spoken || turn.kind === 'firewall' || direction?.kind === 'closes' || direction?.kind === 'tls') {
      scene.wants.push(turn)
    } else if (turn.kind === 'heard' || turn.kind === 'lost') {
      if (speech && parts.length === 0) speech.heard.push(turn)
      else misplaced.push(turn)
      if (speech) scene.last = turn
    } else if (direction?.kind === 'segment-ends') {
      if (speech) speech.endsSegment = true
      else misplaced.push(turn)
      if (speech) scene.last = turn
    } else if (turn.kind === 'direction' && direction) {
      begin(inputOf(direction, turn.text), turn)
      continue
    }
    scene.turns.push(turn)
  }
  return { scenes, misplaced }
}

function inputOf(direction: Direction, text: string): Input {
  if (direction.kind === 'ends' || direction.kind === 'pass') return direction
  return { kind: direction.kind === 'connects' ? 'connects' : 'other', text }
}

/** How the spoken bytes are cut into segments, on top of where the transcript itself ends them. */
export type Cut =
  | { readonly kind: 'whole' }
  | { readonly kind: 'bytewise' }
  /** One cut more, before this octet of that turn of the dialogue; `line` is the turn's in the file. */
  | { readonly kind: 'at'; readonly turn: number; readonly offset: number; readonly line: number }

export const WHOLE: Cut = { kind: 'whole' }
export const BYTEWISE: Cut = { kind: 'bytewise' }

const PARTS: ReadonlyMap<string | undefined, readonly Part[]> = new Map<string, readonly Part[]>([
  ['server', ['S']],
  ['client', ['C']],
  ['firewall', []],
])

/**
 * Every way to play this transcript: whole, bytewise, and once for each place around a line end. Only whole for a
 * firewall, since one that works in place works on segments as they come: there, the transcript says where they end.
 */
export function cuttings(
  transcript: Transcript,
  parts: readonly Part[] | undefined = PARTS.get(transcript.headers.get('subject')),
): readonly Cut[] {
  if (parts?.length === 0) return [WHOLE]
  const speeches = readScenes(transcript, parts ?? []).scenes.flatMap(({ input }) =>
    input.kind === 'spoken' ? input.speeches.map((speech, i) => ({ ...speech, isLast: !input.speeches[i + 1] })) : [],
  )
  const around = speeches.flatMap(({ turn, bytes, isLast, endsSegment }) =>
    tears(bytes)
      .filter(offset => offset < bytes.length || !(isLast || endsSegment))
      .map(offset => ({ kind: 'at', turn: transcript.dialogue.indexOf(turn), offset, line: turn.at.line }) as const),
  )
  return [WHOLE, BYTEWISE, ...around]
}

/** For the name of a test: `whole`, `one byte at a time`, `cut before octet 17 of line 12`. */
export function sayCut(cut: Cut): string {
  if (cut.kind === 'at') return `cut before octet ${cut.offset} of line ${cut.line}`
  return cut.kind === 'whole' ? 'whole' : 'one byte at a time'
}

/** Words spoken in one go, as the segments they arrive in. */
export function segments(speeches: readonly Speech[], { dialogue }: Transcript, cut: Cut): readonly Uint8Array[] {
  const done: Uint8Array[] = []
  let open: Uint8Array[] = []
  const end = () => {
    // A copy: a subject may work in place, and these bytes are the transcript's.
    if (open.some(part => part.length > 0)) done.push(concat(open).slice())
    open = []
  }
  for (const { turn, bytes, endsSegment } of speeches) {
    const isCut = cut.kind === 'at' && dialogue[cut.turn] === turn
    const cuts = cut.kind === 'bytewise' ? bytes.keys() : isCut ? [cut.offset] : []
    let from = 0
    for (const to of cuts) {
      open.push(bytes.subarray(from, to))
      end()
      from = to
    }
    open.push(bytes.subarray(from))
    if (endsSegment || cut.kind === 'bytewise') end()
  }
  end()
  return done
}
