import type { Diagnostic, SourceRef } from '../base/problem.ts'

/**
 * The configuration language: PIX-flavoured lines, each described once by a `CommandSpec`.
 *
 * From the one table come the parser (`parse.ts`), the `no` form, `?` help and completion (`help.ts`), `show`
 * (`show.ts`) and the reference page. A value of the configuration is immutable: a command makes the next one.
 */

/** What a placeholder of a syntax line takes. */
export interface ArgumentKind<T = unknown> {
  /** As it stands between `<` and `>` in a syntax line. */
  readonly name: string
  /** For `?`: `an IPv4 address, such as 10.54.7.1`. */
  readonly help: string
  /** Words it knows by name, for completion: `smtp`, `domain`. */
  readonly words?: readonly string[]
  /** Whether a name that the configuration gives (`Grammar.names`) may stand for the value. */
  readonly named?: boolean
  /** The value, or what is wrong with this word. Total: any text may come. */
  read(word: string): { readonly value: T } | { readonly wrong: string; readonly hint?: string }
}

/**
 * The words of one line, read: placeholder name → value, and where each stood.
 *
 * Total for every line that fits the syntax. A name that does not stand in the syntax is the command's own mistake: it
 * throws, whatever the line was, so that the first test finds it.
 */
export interface Arguments {
  /**
   * The value of `<name>`, or `undefined` where an optional part was left out.
   *
   * Given the kind, the value has its type: `get('ports', PORTS)`. It must be the kind the syntax names.
   */
  get<T = unknown>(name: string, kind?: ArgumentKind<T>): T | undefined
  /** The value where it is text, else the word as it was typed; `otherwise` where it was left out. */
  text(name: string, otherwise?: string): string
  /** The text, or `undefined` where an optional part was left out. */
  optional(name: string): string | undefined
  /** The number; `otherwise` (0, which the PIX reads as "no limit") where it was left out. */
  number(name: string, otherwise?: number): number
  /**
   * Whether the placeholder, or the command word, stood in the line: `has('shutdown')`. Of two with one name the
   * placeholder is meant.
   */
  has(name: string): boolean
  /** Where the placeholder's word, or the command word, stands; the whole line where it was left out. */
  at(name: string): SourceRef
  /** The syntax of the command they fit. */
  readonly syntax: string
  /** The words of the line whose mode this line stands in; of a command without a mode, none. */
  readonly outer?: Arguments
}

/** Problems with a line; with `config` they are warnings beside the next configuration. */
export interface Objection<C> {
  readonly problems: readonly Diagnostic[]
  readonly config?: C
}

/**
 * What a command makes of the configuration: the next one, or what is wrong, or both (a warning).
 *
 * The two are told apart by `problems`: a configuration has no field of that name.
 */
export type Effect<C> = C | Objection<C>

export function isObjection<C>(effect: Effect<C>): effect is Objection<C> {
  return typeof effect === 'object' && effect !== null && 'problems' in effect
}

export interface CommandSpec<C> {
  /**
   * Words, placeholders and optional parts:
   * `static (<real:name>,<mapped:name>) <mapped-ip> <real-ip> [netmask <mask>] [<max:number> [<embryonic:number>]]`.
   *
   * - `<ip>` is a placeholder whose kind has its name; `<real:name>` names the kind; `<mapped-ip>` is of kind `ip`.
   * - `<text...>` takes the rest of the line.
   * - `a|b` is a choice of words (ask `has('a')`); `<action:permit|deny>` one whose word is the value of `action`.
   * - `[ ]` may be left out.
   * - `{any | host <ip> | <ip> <mask>}` is a choice of parts; the first that fits is taken.
   * - Round brackets, commas and the like inside a word, as in `(<real:name>,<mapped:name>)`, stand for themselves.
   *
   * The first word is always a word of the command.
   */
  readonly syntax: string
  readonly help: string
  /** For `?`: explanations of single words and placeholders, where `help` and the kind's own do not say enough. */
  readonly words?: Readonly<Record<string, string>>
  apply(config: C, args: Arguments, at: SourceRef): Effect<C>
  /** The `no` form; without it `no …` is refused with a clear word. */
  remove?(config: C, args: Arguments, at: SourceRef): Effect<C>
  /** Syntax of the `no` form (without the `no`) where it differs, e.g. where an argument may be left out. */
  readonly noSyntax?: string
  /**
   * The lines that would make this part of `config` again, in order. Free text goes through `quote` of `text.ts`.
   *
   * Whoever enters a mode shows the lines in it as well, indented, and the commands of that mode show nothing.
   */
  show(config: C): readonly string[]
  /** The mode it is a command of, as `config-pmap`; without one, of no mode. */
  readonly mode?: string
  /** The mode that this line enters: what stands below is read as of that mode, or of one around it. */
  readonly enters?: string
  /** Takes each indented line below, as it stands, with the blanks before it. */
  block?(config: C, args: Arguments, line: string): C
}

/** Where in nested modes one is: the line that entered the innermost, and the mode around it. */
export interface Mode<C> {
  readonly spec: CommandSpec<C>
  readonly args: Arguments
  readonly outer: Mode<C> | undefined
}

/** All commands of one kind of file, in the order in which `show` prints them, and what an empty file means. */
export interface Grammar<C> {
  readonly name: string
  readonly empty: C
  readonly commands: readonly CommandSpec<C>[]
  /** Kinds of placeholder this grammar adds to the common ones of `argument.ts`; of two with one name, its own. */
  readonly kinds?: readonly ArgumentKind[]
  /** Names that stand for other words, where a kind of placeholder takes them (`name 10.54.7.10 mail-b`). */
  names?(config: C): ReadonlyMap<string, string>
  /** Checks that need the whole file: names that do not resolve, things that must go together. */
  check?(config: C): readonly Diagnostic[]
}
