import type { Cause } from '../policy.ts'

/** Lines that say a setting, by its name, and by its word where it is a list: `recipients`, `extension SIZE`. */
export type SettingLines = ReadonlyMap<string, Omit<Cause, 'cure'>>

/** Which line of a profile said what, and which would say otherwise. */
export class Lines {
  /** The line that put the profile in force. */
  readonly cause: Cause
  readonly #prefix: string
  readonly #lines: SettingLines

  /** `prefix`: what the profile's lines begin with, such as `strict`. */
  constructor(prefix: string, cause: Cause, lines: SettingLines) {
    this.#prefix = prefix
    this.cause = cause
    this.#lines = lines
  }

  /** By the line of this name, or where it was never said by the one that put the profile in force. */
  by(name: string, cure: string): Cause {
    const { at, command } = this.#lines.get(name) ?? this.cause
    return { at, command, cure: prefixed(this.#prefix, cure) }
  }

  /** Words that a line of their own took off a list. */
  off(list: string): readonly string[] {
    return [...this.#lines].flatMap(([name, { command }]) =>
      name.startsWith(`${list} `) && command.startsWith('no ') ? [name.slice(list.length + 1)] : [],
    )
  }
}

/** A line with what the lines of its profile begin with. */
export function prefixed(prefix: string, line: string): string {
  return line.startsWith('no ') ? `no ${prefix} ${line.slice(3)}` : `${prefix} ${line}`
}
