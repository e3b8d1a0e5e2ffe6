import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diff } from './diff.ts'
import type { CommandSpec, Grammar } from './grammar.ts'
import { complete, help } from './help.ts'
import { parse, parseLine } from './parse.ts'
import { show } from './show.ts'

/** A language of shelves and boxes, one in the other. */
interface Store {
  readonly motto: string
  readonly shelves: readonly Shelf[]
  readonly notes: readonly string[]
}

interface Shelf {
  readonly name: string
  readonly boxes: readonly { readonly name: string; readonly holds: readonly string[] }[]
}

type Spec = CommandSpec<Store>

function shelf(config: Store, name: string, change: (shelf: Shelf) => Shelf): Store {
  return { ...config, shelves: config.shelves.map(each => (each.name === name ? change(each) : each)) }
}

const SHELF: Spec = {
  syntax: 'shelf <name>',
  help: 'A shelf',
  enters: 'shelf',
  apply: (config, args) =>
    config.shelves.some(({ name }) => name === args.text('name'))
      ? config
      : { ...config, shelves: [...config.shelves, { name: args.text('name'), boxes: [] }] },
  remove: (config, args) => ({ ...config, shelves: config.shelves.filter(({ name }) => name !== args.text('name')) }),
  show: ({ shelves }) =>
    shelves.flatMap(({ name, boxes }) => [
      `shelf ${name}`,
      ...boxes.flatMap(each => [` box ${each.name}`, ...each.holds.map(thing => `  holds ${thing}`)]),
    ]),
}

const BOX: Spec = {
  syntax: 'box <name>',
  help: 'A box on this shelf',
  mode: 'shelf',
  enters: 'box',
  apply: (config, args) =>
    shelf(config, args.outer?.text('name') ?? '', each => ({
      ...each,
      boxes: [...each.boxes, { name: args.text('name'), holds: [] }],
    })),
  show: () => [],
}

const HOLDS: Spec = {
  syntax: 'holds <thing:name>',
  help: 'What is in this box',
  mode: 'box',
  apply: (config, args) =>
    shelf(config, args.outer?.outer?.text('name') ?? '', each => ({
      ...each,
      boxes: each.boxes.map(box =>
        box.name === args.outer?.text('name') ? { ...box, holds: [...box.holds, args.text('thing')] } : box,
      ),
    })),
  show: () => [],
}

const MOTTO: Spec = {
  syntax: 'motto <words...>',
  noSyntax: 'motto [<words...>]',
  help: 'What stands over the door',
  apply: (config, args) => ({ ...config, motto: args.text('words') }),
  remove: config => ({ ...config, motto: '' }),
  show: ({ motto }) => (motto === '' ? [] : [`motto ${motto}`]),
}

const NOTE: Spec = {
  syntax: 'note <title:name>',
  help: 'A note, in any words below',
  apply: (config, args) => ({ ...config, notes: [...config.notes, `note ${args.text('title')}`] }),
  block: (config, _args, line) => ({ ...config, notes: [...config.notes, line] }),
  show: ({ notes }) => notes,
}

const STORE: Grammar<Store> = {
  name: 'store',
  empty: { motto: '', shelves: [], notes: [] },
  commands: [MOTTO, SHELF, BOX, HOLDS, NOTE],
}

const TEXT = `motto order
shelf north
 box red
  holds nails
  holds screws
 box blue
shelf south
 box red
  holds string
note one
 any words, "even these
   with their blanks
note two
`

test('a line is read as of the mode around it, and shown below the line that enters it', () => {
  const { config, problems } = parse(STORE, TEXT, 'store.conf')
  assert.deepEqual(
    problems.map(({ message }) => message),
    ['the quotation is not closed'],
  )
  const sound = TEXT.replace(', "even these', '')
  assert.equal(show(STORE, parse(STORE, sound, 'store.conf').config), sound)
  assert.deepEqual(config.shelves[0]?.boxes[0]?.holds, ['nails', 'screws'])
})

test('a command of no mode leaves all modes, one of an outer mode leaves the inner, and exit leaves one', () => {
  const read = (text: string) => parse(STORE, text, 'store.conf').problems.map(({ message }) => message)
  assert.deepEqual(read('shelf a\nbox b\nholds c\nbox d\nmotto e\nshelf f\n'), [])
  assert.deepEqual(read('shelf a\nmotto e\nbox b\n'), ['unknown command "box"'])
  assert.deepEqual(read('shelf a\nbox b\nexit\nholds c\n'), ['unknown command "holds"'])
  assert.deepEqual(read('shelf a\nbox b\nexit\nexit\nbox c\n'), ['unknown command "box"'])
  assert.deepEqual(read('exit\n'), ['unknown command "exit"'])
})

test('a console stays in the mode that the last line entered, and is helped there', () => {
  const one = parseLine(STORE, STORE.empty, 'shelf a')
  const two = parseLine(STORE, one.config, 'box b', { mode: one.mode })
  assert.deepEqual(help(STORE, '', two.mode)[0], 'holds   What is in this box')
  assert.deepEqual(complete(STORE, 'ho', two.mode), ['holds'])
  assert.deepEqual(complete(STORE, 'ho'), [])
  const three = parseLine(STORE, two.config, 'holds c', { mode: two.mode })
  assert.equal(show(STORE, three.config), 'shelf a\n box b\n  holds c\n')
  assert.equal(parseLine(STORE, three.config, 'motto d', { mode: three.mode }).mode, undefined)
})

test('diff() takes what stands below a line with it', () => {
  const of = (text: string) => parse(STORE, text, 'store.conf').config
  const from = of('shelf a\n box b\n  holds c\nshelf d\n')
  const to = of('motto e\nshelf a\n box b\n  holds f\nshelf d\n')
  const lines = diff(STORE, from, to)
  const { config, problems } = parseLine(STORE, from, lines.join('\n'))
  assert.deepEqual(problems, [])
  assert.deepEqual(config, to)
})
