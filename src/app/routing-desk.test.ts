import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { MTA } from '../mta/commands.ts'
import { atRest } from './link-state.ts'
import { answerRouting, type RoutingQuestion } from './routing-desk.ts'

const LINES = `hostname mail-a.a.example
organization Contoso
routing-group A
connector A-B to B cost 10 target 10.0.0.2
group-domain B b.example
`

test('what becomes of a letter is a value, the same in every form', () => {
  const { config, problems } = parse(MTA, LINES, 'mail.conf')
  assert.deepEqual(problems, [])
  const kind = (question: RoutingQuestion) => answerRouting(atRest(config), question, 0).kind
  for (const form of ['text', 'json', 'dot', 'svg'] as const) {
    assert.equal(kind({ what: 'explain', form, to: 'bob@b.example' }), 'relay', form)
    assert.equal(kind({ what: 'explain', form, to: 'bob@d.example' }), 'unreachable', form)
    assert.equal(kind({ what: 'table', form }), 'told', form)
    assert.equal(kind({ what: 'show', form }), 'told', form)
  }
  const { lines } = answerRouting(atRest(config), { what: 'explain', form: 'json', to: 'bob@d.example' }, 0)
  assert.equal((JSON.parse(lines.join('')) as { readonly route: { readonly kind: string } }).route.kind, 'unreachable')
})
