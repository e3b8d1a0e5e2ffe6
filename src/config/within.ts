import { type CommandSpec, type Effect, isObjection } from './grammar.ts'

/** The commands of a part, as commands of the whole that holds it under `key`: each folder keeps its own commands. */
export function within<Whole, Key extends keyof Whole>(
  key: Key,
  specs: readonly CommandSpec<Whole[Key]>[],
): readonly CommandSpec<Whole>[] {
  const lift = (whole: Whole, effect: Effect<Whole[Key]>): Effect<Whole> => {
    if (!isObjection(effect)) return { ...whole, [key]: effect }
    const { problems, config } = effect
    return config === undefined ? { problems } : { problems, config: { ...whole, [key]: config } }
  }
  return specs.map(({ apply, remove, show, block, ...rest }) => ({
    ...rest,
    apply: (whole: Whole, args, at) => lift(whole, apply(whole[key], args, at)),
    ...(remove && { remove: (whole: Whole, args, at) => lift(whole, remove(whole[key], args, at)) }),
    show: (whole: Whole) => show(whole[key]),
    ...(block && { block: (whole: Whole, args, line) => ({ ...whole, [key]: block(whole[key], args, line) }) }),
  }))
}
