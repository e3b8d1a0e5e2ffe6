import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fold } from './release.ts'

const RELEASE = { version: '0.2.0', date: '2031-05-17' }

test('fold() puts the release above earlier ones, breaking changes first, and leaves the rest as it is', () => {
  const changelog = '# Changelog\n\n## Unreleased\n\nSee changes/.\n\n## 0.1.0 – 2031-01-01\n\n### Added\n\n- Mail.\n'
  const fragments = new Map([
    ['mask-ehlo.fixed.md', 'EHLO is masked\nwith its length.\n\nAlways.\n'],
    ['etrn.added.md', 'ETRN.\n'],
    ['spool.changed.md', 'Breaking: the spool has\na new format.\n'],
    ['atrn.added.md', 'ATRN.\n'],
  ])
  assert.deepEqual(fold(changelog, fragments, RELEASE), {
    changelog: `# Changelog

## Unreleased

See changes/.

## 0.2.0 – 2031-05-17

### Breaking

- the spool has
  a new format.

### Added

- ATRN.
- ETRN.

### Fixed

- EHLO is masked
  with its length.

  Always.

## 0.1.0 – 2031-01-01

### Added

- Mail.
`,
  })
})

test('fold() makes the first release', () => {
  assert.deepEqual(fold('# Changelog\n\n## Unreleased\n', new Map([['a.added.md', 'A.']]), RELEASE), {
    changelog: '# Changelog\n\n## Unreleased\n\n## 0.2.0 – 2031-05-17\n\n### Added\n\n- A.\n',
  })
})

test('fold() says everything that is wrong with the fragments, and releases nothing', () => {
  const fragments = new Map([
    ['a.improved.md', 'A'],
    ['b.added.md', ' \n'],
    ['c.md', 'C'],
  ])
  const kinds = 'added, changed, removed, fixed, security'
  assert.deepEqual(fold('## 0.2.0 – 2031-05-17\n', fragments, RELEASE), {
    problems: [
      `a.improved.md: a change is called NAME.KIND.md, with one of these as its KIND: ${kinds}`,
      'b.added.md: says nothing',
      `c.md: a change is called NAME.KIND.md, with one of these as its KIND: ${kinds}`,
      'CHANGELOG.md has a section 0.2.0 already',
    ],
  })
  assert.deepEqual(fold('', new Map(), RELEASE), { problems: ['there are no changes to release'] })
})
