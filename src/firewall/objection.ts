import type { Diagnostic } from '../base/problem.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { interfaceNamed, known } from '../topology/commands.ts'
import type { FirewallConfig } from './config.ts'

export type Spec = CommandSpec<FirewallConfig>

/** Why a line cannot be taken. */
export interface Refusal {
  readonly problems: readonly Diagnostic[]
}

export function error(message: string, at: Diagnostic['at'], hint?: string): Refusal {
  return { problems: [{ severity: 'error', message, ...(at && { at }), ...(hint !== undefined && { hint }) }] }
}

export function warning(message: string, at: Diagnostic['at'], hint?: string): Diagnostic {
  return { severity: 'warning', message, ...(at && { at }), ...(hint !== undefined && { hint }) }
}

/** The words of a placeholder as they stand in the line, quotation marks and all. */
export function asWritten(args: Arguments, name: string): string | undefined {
  if (args.optional(name) === undefined) return undefined
  const { text, column, length } = args.at(name)
  return text.slice(column - 1, column - 1 + length)
}

/** The problem, if there is no interface of that name. */
export function unknownInterface(config: FirewallConfig, args: Arguments, name: string): Refusal | undefined {
  const called = args.text(name)
  if (interfaceNamed(config.ports, called)) return undefined
  return error(`no interface is called "${called}"`, args.at(name), known(config.ports))
}

export function sameText(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** The list with the value in the place of the one that has its key, else behind the last. */
export function put<T>(list: readonly T[], next: T, key: (each: T) => unknown): readonly T[] {
  const at = list.findIndex(each => key(each) === key(next))
  return at < 0 ? [...list, next] : list.with(at, next)
}

export function named<T extends { readonly name: string }>(list: readonly T[], name: string): T | undefined {
  return list.find(each => each.name === name)
}

export function knownNames(list: readonly { readonly name: string }[]): string {
  return list.length === 0 ? 'none is written yet' : `known: ${list.map(({ name }) => name).join(', ')}`
}
