import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectorState, groupState, guid } from './any-table.test.ts'
import { dashed, differences, tableOf } from './link-state.ts'
import { diffLines, dotOf, namesOf, showLines, svgOf } from './report.ts'

const [a, b] = [guid('a', 1), guid('b', 2)]
const leading = connectorState(guid('c', 1), '*', {
  dn: '/o=Contoso/cn=A "to" B',
  arrows: [{ type: 'RG', value: dashed(b), cost: 7 }],
})
const table = tableOf([groupState(a, { connectors: [leading] }), groupState(b)])
const named = { table, names: new Map([[a, 'A <1>']]) }

test('a table is shown with each connector, its state and where it leads; a group without a name by its GUID', () => {
  const lines = showLines(named, 'd1ge57')
  assert.equal(lines[0], '2 groups, digest d1ge57')
  assert.match(lines.join('\n'), new RegExp(`up +A "to" B +to ${b} 7`))
})

test('a picture holds names as names, whatever is in them, and shows what is down', () => {
  const down = {
    ...named,
    table: tableOf([groupState(a, { connectors: [{ ...leading, state: 'down' }] }), groupState(b)]),
  }
  assert.match(dotOf(down).join('\n'), /label="A \\"to\\" B 7", color=red, style=dashed/)
  const svg = svgOf(down).join('\n')
  assert.match(svg, /A &#60;1&#62;</)
  assert.match(svg, /stroke="#c00"/)
  assert.ok(!svg.includes('A <1>'))
})

test('a difference of two tables says who is behind, and which connector they see differently', () => {
  const state = groupState(a, { connectors: [leading] })
  const later = {
    ...state,
    version: { ...state.version, minor: state.version.minor + 1 },
    connectors: [{ ...leading, state: 'down' as const }],
  }
  const lines = diffLines(differences(tableOf([state]), tableOf([later])), namesOf(named))
  assert.equal(lines.length, 2)
  assert.match(lines[0] ?? '', /^A <1> .*the first is behind$/)
  assert.match(lines[1] ?? '', /A "to" B: up \/ down/)
  assert.deepEqual(diffLines([], namesOf(named)), ['the tables are the same'])
})
