import type { Grammar } from './grammar.ts'

/** The lines that would make `config` again, in the order of the grammar's table. */
export function showLines<C>(grammar: Grammar<C>, config: C): readonly string[] {
  return grammar.commands.flatMap(command => command.show(config))
}

/** The canonical text of a configuration: `parse` reads it back as the same. Empty where there is nothing to say. */
export function show<C>(grammar: Grammar<C>, config: C): string {
  return showLines(grammar, config)
    .map(line => `${line}\n`)
    .join('')
}
