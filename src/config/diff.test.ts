import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anySample } from './any-sample.test.ts'
import { diff } from './diff.ts'
import { parse } from './parse.ts'
import { EMPTY, SAMPLE, type Sample } from './sample.test.ts'
import { show } from './show.ts'

function config(text: string): Sample {
  const { config, problems } = parse(SAMPLE, text, 'pix.conf')
  assert.deepEqual(problems, [])
  return config
}

function lines(from: string, to: string): readonly string[] {
  return diff(SAMPLE, config(from), config(to))
}

test('diff() of a configuration and itself is empty', () => {
  assert.deepEqual(lines('fixup protocol smtp 25', 'fixup protocol smtp 25'), [])
})

test('diff() takes away with no, before it adds', () => {
  assert.deepEqual(lines('fixup protocol smtp 25\nhostname pix', 'fixup protocol smtp 2525\nhostname pix'), [
    'no fixup protocol smtp 25',
    'fixup protocol smtp 2525',
  ])
})

test('diff() gives a line alone where it replaces the old one', () => {
  assert.deepEqual(lines('hostname pix-a', 'hostname pix-b'), ['hostname pix-b'])
  assert.deepEqual(lines('nameif ethernet0 outside security0', 'nameif ethernet0 wan security0'), [
    'nameif ethernet0 wan security0',
  ])
})

test('diff() uses the no form as short as it is', () => {
  assert.deepEqual(lines('hostname pix-a\nbanner motd Welcome, friend', ''), [
    'no banner motd "Welcome, friend"',
    'no hostname',
  ])
})

test('diff() keeps an access list in its order: what follows a new line is said anew', () => {
  const [first, second, third] = [25, 80, 443].map(port => `access-list IN permit tcp any any eq ${port}`)
  assert.deepEqual(lines(`${first}\n${third}`, `${first}\n${second}\n${third}`), [`no ${third}`, second, third])
})

test('diff() says so where nothing leads there', () => {
  assert.deepEqual(lines('nameif ethernet0 outside security0\nfixup protocol smtp 25', ''), [
    '! these lines do not lead there exactly',
    '! nothing undoes nameif ethernet0 outside security0',
    'no fixup protocol smtp 25',
  ])
})

test('the lines of diff(), played on the one configuration, give the other', () => {
  fc.assert(
    fc.property(anySample, anySample, (from, to) => {
      // The sample cannot unname an interface, so both have the same ones.
      const known = new Set(from.interfaces.map(({ name }) => name))
      const { statics, groups } = to
      const other: Sample = {
        ...to,
        interfaces: from.interfaces,
        statics: statics.filter(({ real, mapped }) => known.has(real) && known.has(mapped)),
        groups: groups.filter(({ name }) => known.has(name)),
      }
      const way = diff(SAMPLE, from, other)
      assert.equal(show(SAMPLE, parse(SAMPLE, show(SAMPLE, from) + way.join('\n'), 'both').config), show(SAMPLE, other))
    }),
  )
})

test('diff() from nothing is what show() shows', () => {
  fc.assert(
    fc.property(anySample, to => {
      assert.equal(
        diff(SAMPLE, EMPTY, to)
          .map(line => `${line}\n`)
          .join(''),
        show(SAMPLE, to),
      )
    }),
  )
})
