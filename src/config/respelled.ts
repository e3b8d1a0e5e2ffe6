import { lower } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import type { Effect } from './grammar.ts'

/**
 * What a line comes to that takes the place of another: a warning, too, where the two write one domain in two spellings, for
 * then a person may well mean both of them. `before`: how the other wrote it; absent: there was none.
 */
export function respelled<C extends object>(
  config: C,
  before: string | undefined,
  { now, at }: { readonly now: string; readonly at: SourceRef },
): Effect<C> {
  if (before === undefined || lower(before) === lower(now)) return config
  const message = `this line takes the place of the one with ${before}, which is the same in another spelling`
  return { config, problems: [{ severity: 'warning', message, hint: 'expected one line for both spellings', at }] }
}
