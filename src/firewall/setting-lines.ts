/** Lines that each say one setting of a profile: a value, or of a list one word more or less than it comes with. */
import type { SourceRef } from '../base/problem.ts'
import type { CommonKind } from '../config/argument.ts'
import type { Arguments, CommandSpec, Effect } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { error } from './objection.ts'
import type { SettingLines } from './profiles/lines.ts'

/** What a profile has otherwise than it comes with. */
export interface Settings<V> {
  readonly values: Partial<V>
  /** What a list has more, and what it has less. */
  readonly ticks: readonly Tick[]
  /** Where the line of each stands, by the value's name or the list and its word: `recipients`, `extension SIZE`. */
  readonly at: Readonly<Record<string, SourceRef>>
}

export interface Tick {
  readonly list: string
  readonly word: string
  readonly isOn: boolean
}

/** As it comes. */
export const NO_SETTINGS: Settings<object> = { values: {}, ticks: [], at: {} }

export interface Change<V> {
  readonly name: string
  /** Where the line is that says so; without it, it is undone. */
  readonly at?: SourceRef
  change(settings: Settings<V>): Partial<Settings<V>>
}

/** Where a profile's settings are in a configuration, and how their lines begin: `strict`, `watchguard <profile:…>`. */
export interface Block<C, V> {
  readonly prefix: string
  /** The settings of which profile, where one configuration has those of several. */
  changed(config: C, args: Arguments, change: Change<V>): C
  /** The lines of all its profiles, with their beginning; a line that begins with `no` has it in front. */
  shown(config: C, lines: (settings: Settings<V>) => readonly string[]): readonly string[]
}

/** The settings with one of them made another, and its line noted. */
export function withChange<V, S extends Settings<V>>(settings: S, { name, at, change }: Change<V>): S {
  const { [name]: _, ...others } = settings.at
  return { ...settings, ...change(settings), at: at ? { ...others, [name]: at } : others }
}

export interface ValueLine<T> {
  readonly word: string
  /** As in a syntax: `<value:refuse|drop>`. */
  readonly takes: string
  /** The value that was said; what stands for `value` where this is left out. */
  readonly read?: (args: Arguments) => T
  readonly help: string
  /** What it is without a line. */
  readonly usual: T
  readonly words?: CommandSpec<never>['words']
  readonly show: (value: T) => string
  readonly wrong?: ((value: T) => string | undefined) | undefined
}

export function valueLine<C, V, K extends keyof V & string>(
  block: Block<C, V>,
  key: K,
  { word, takes, read, help, usual, words, show, wrong }: ValueLine<V[K]>,
): CommandSpec<C> {
  const syntax = `${block.prefix} ${word}`
  const shown = show(usual)
  return {
    syntax: `${syntax} ${takes}`,
    noSyntax: `${syntax} ${takes.startsWith('[') ? takes : `[${takes}]`}`,
    help: shown === '' || shown === '""' ? help : `${help} (${shown})`,
    ...(words && { words }),
    apply(config, args, at): Effect<C> {
      const value = read ? read(args) : (args.get('value') as V[K])
      const why = wrong?.(value)
      if (why !== undefined) return error(why, args.at('value'))
      const change = ({ values }: Settings<V>) => ({ values: { ...values, [key]: value } })
      return block.changed(config, args, { name: key, at, change })
    },
    remove: (config, args) => block.changed(config, args, { name: key, change: without(key) }),
    show: config =>
      block.shown(config, ({ values }) => {
        const value = values[key]
        return value === undefined ? [] : [`${word} ${show(value as V[K])}`.trimEnd()]
      }),
  }
}

function without<V>(key: keyof V): Change<V>['change'] {
  return ({ values }) => {
    const { [key]: _, ...rest } = values
    return { values: rest as Partial<V> }
  }
}

/** A line whose value is of a kind that every grammar knows. */
export function kindLine<C, V, K extends keyof V & string>(
  block: Block<C, V>,
  key: K,
  kind: CommonKind<V[K]>,
  line: Pick<ValueLine<V[K]>, 'word' | 'help' | 'usual' | 'wrong'>,
): CommandSpec<C> {
  return valueLine(block, key, { ...line, takes: `<value:${kind.name}>`, show: value => quote(kind.show(value)) })
}

/** A line that switches something on, or where it comes switched on, one whose `no` form switches it off. */
export function switchLine<C, V, K extends keyof V & string>(
  block: Block<C, V>,
  key: K,
  { word, help, usual }: Pick<ValueLine<boolean>, 'word' | 'help' | 'usual'>,
): CommandSpec<C> {
  const turn = (config: C, args: Arguments, isOn: boolean, at: SourceRef): C => {
    if (isOn === usual) return block.changed(config, args, { name: key, change: without(key) })
    return block.changed(config, args, {
      name: key,
      at,
      change: ({ values }) => ({ values: { ...values, [key]: isOn } }),
    })
  }
  return {
    syntax: `${block.prefix} ${word}`,
    help,
    apply: (config, args, at) => turn(config, args, true, at),
    remove: (config, args, at) => turn(config, args, false, at),
    show: config =>
      block.shown(config, ({ values }) => {
        const isOn = values[key] as boolean | undefined
        return isOn === undefined ? [] : [isOn ? word : `no ${word}`]
      }),
  }
}

export interface ListLine {
  readonly list: string
  readonly canonical: (word: string) => string
  readonly help: string
  readonly words?: CommandSpec<never>['words']
  /** As in a syntax; `<word>` where any may stand. */
  readonly takes?: string
  /** What it has without a line, for the profile that the words of the line name. */
  readonly usual: (args: Arguments) => ReadonlySet<string>
  readonly wrong: (word: string) => { readonly message: string; readonly hint?: string } | undefined
}

export function listLine<C, V>(
  block: Block<C, V>,
  { list, canonical, help, words, takes = '<word>', usual, wrong }: ListLine,
): CommandSpec<C> {
  function tick(config: C, args: Arguments, { isOn, at }: { isOn: boolean; at: SourceRef }): Effect<C> {
    const word = canonical(args.text('word'))
    const fault = wrong(word)
    if (fault) return error(fault.message, args.at('word'), fault.hint)
    const isUsual = usual(args).has(word)
    const name = `${list} ${word}`
    return block.changed(config, args, {
      name,
      ...(isOn !== isUsual && { at }),
      change({ ticks }) {
        const others = ticks.filter(each => `${each.list} ${each.word}` !== name)
        return { ticks: isOn === isUsual ? others : [...others, { list, word, isOn }].sort(byWord) }
      },
    })
  }
  return {
    syntax: `${block.prefix} ${list} ${takes}`,
    help,
    ...(words && { words }),
    apply: (config, args, at) => tick(config, args, { isOn: true, at }),
    remove: (config, args, at) => tick(config, args, { isOn: false, at }),
    show: config =>
      block.shown(config, ({ ticks }) =>
        ticks.filter(each => each.list === list).map(({ word, isOn }) => `${isOn ? '' : 'no '}${list} ${quote(word)}`),
      ),
  }
}

function byWord(a: Tick, b: Tick): number {
  const [left, right] = [`${a.list} ${a.word}`, `${b.list} ${b.word}`]
  return left < right ? -1 : left > right ? 1 : 0
}

/** A list as it comes with what its lines say, or `undefined` where no line speaks of it. */
export function ticked(
  { ticks }: Pick<Settings<unknown>, 'ticks'>,
  list: string,
  usual: ReadonlySet<string>,
): ReadonlySet<string> | undefined {
  const own = ticks.filter(each => each.list === list)
  if (own.length === 0) return undefined
  const words = new Set(usual)
  for (const { word, isOn } of own) {
    if (isOn) words.add(word)
    else words.delete(word)
  }
  return words
}

export function linesOf({ at }: Pick<Settings<unknown>, 'at'>): SettingLines {
  return new Map(Object.entries(at).map(([name, ref]) => [name, { at: ref, command: ref.text.trim() }] as const))
}
