import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { MTA } from '../mta/commands.ts'
import { guid, md5, sha256 } from './any-table.test.ts'
import { RoutingEngine } from './engine.ts'
import { readFrame, writeFrame } from './frame.ts'
import { digestOf, groupOf } from './link-state.ts'
import { nameOf } from './master.ts'
import { talk } from './network.test.ts'
import { type Organization, organization } from './organization.ts'
import type { Letter } from './route.ts'
import { Routes } from './routes.ts'

function read(text: string): Organization {
  const { config, problems } = parse(MTA, text, 'mta.conf')
  assert.deepEqual(problems, [])
  const here = { server: config.hostname, domains: config.localDomains, sha256, incarnation: guid('e', 1) }
  return organization(config.routing, here)
}

function engineOf({ org, server, group, table }: Organization): RoutingEngine {
  return new RoutingEngine({ org, server, group, md5, table })
}

const SITES = join(import.meta.dirname, '../../examples/case-study')
const site = (name: string): Organization => read(readFileSync(join(SITES, `${name}.conf`), 'utf8'))

function way({ routes, table }: Organization, domain: string, more: Partial<Letter> = {}): string {
  const route = new Routes(table, routes).route({ to: { local: 'u', domain }, ...more }, 0)
  if (route.kind === 'unreachable') return route.status
  return `${nameOf(route.connector)} ${route.path.map(each => routes.names?.get(each)).join(' ')} ${route.cost}`
}

test('the case study’s own files say the same as before: mail for b.example leaves A by A-to-B', () => {
  const [a, b] = [site('mail-a'), site('mail-b')]
  assert.equal(way(a, 'b.example'), 'A-to-B A 2')
  assert.equal(way(b, 'a.example'), 'B-to-A B 2')
  assert.equal(way(a, 'elsewhere.example'), '5.4.4')
  const connector = a.connectors.get([...a.connectors.keys()][0] ?? '')
  assert.deepEqual(connector?.targets, [{ ip: '10.54.7.10', port: 25 }])
  assert.ok(a.isMaster && b.isMaster)
  assert.equal(a.org, b.org)
})

test('both ends, once they have talked, hold one table, and learn which domains are delivered where', () => {
  const [a, b] = [site('mail-a'), site('mail-b')]
  const [one, other] = [engineOf(a), engineOf(b)]
  talk(one, other, { delta: false })
  assert.equal(one.digest, other.digest)
  const told = new Routes(one.table, a.routes).explain({ to: { local: 'bob', domain: 'b.example' } }, 0)
  // Known from B itself now, and cheaper than the address space by the one it costs.
  assert.equal(told.route.kind === 'relay' && told.route.cost, 1)
  assert.deepEqual(
    told.candidates.map(each => nameOf(each.connector)),
    ['Local Domains', 'A-to-B'],
  )
})

const FOUR = `
hostname s1.a.example
local-domain a.example
organization Contoso
routing-group A
group-member A s1.a.example
group-domain C c.example
connector A-B to B cost 10 target 10.0.2.1
connector A-D to D cost 15 target 10.0.4.1
connector B-C from B to C cost 10
connector D-C from D to C cost 10
smtp-connector out cost 20 smart-host 10.0.9.9
address-space out smtp *
connector-size B-C 1m
connector-refuse A-B low
connector-reject out eve@a.example
`

test('four sites are routed by their configuration alone, with limits wherever they stand', () => {
  const a = read(FOUR)
  assert.equal(way(a, 'c.example'), 'A-B A B C 20')
  assert.equal(way(a, 'c.example', { size: 2 ** 20 }), 'A-B A B C 20')
  assert.equal(way(a, 'c.example', { size: 2 ** 20 + 1 }), 'A-D A D C 25')
  assert.equal(way(a, 'c.example', { priority: 'low' }), 'A-D A D C 25')
  assert.equal(way(a, 'any.example'), 'out A 21')
  assert.equal(way(a, 'any.example', { from: { local: 'eve', domain: 'a.example' } }), '5.7.1')
})

test('who is configured alike begins alike, and only the master counts', () => {
  const [one, same] = [read(FOUR), read(FOUR)]
  assert.deepEqual(same.table, one.table)
  const member = read(FOUR.replace('hostname s1.a', 'hostname s2.a'))
  assert.ok(!member.isMaster)
  assert.deepEqual(groupOf(member.table, member.group)?.version, { major: 0, minor: 0, user: 0 })
  // The master's word replaces what the member's configuration says.
  const [engine, master] = [engineOf(member), engineOf(one)]
  talk(engine, master, { delta: false, teller: 'own-group' })
  assert.deepEqual(engine.own, master.own)
  assert.equal(engine.digest, master.digest)
})

test('GUIDs of an Exchange directory are taken as they are, and what is not ASCII goes as UTF-8', () => {
  const of = 'A2A0F896-D197-B849-9955-7850AC796258'
  const made = read(
    `organization "Grüße AG" guid ${'0f'.repeat(16)}\nrouting-group A\ngroup-guid A ${of}\nlocal-domain grüße.example`,
  )
  assert.equal(made.org, '0f'.repeat(16))
  assert.equal(made.group, 'a2a0f896d197b84999557850ac796258')
  const text = writeFrame({ kind: 'orginfo', digest: digestOf(made.table, md5), groups: made.table })
  const back = readFrame(text)
  assert.ok('frame' in back && back.frame.kind === 'orginfo')
  assert.deepEqual(back.frame.groups, made.table)
  assert.ok(text.includes(`*.${of}`))
  assert.equal(way(made, 'GRÜSSE.example'), '5.4.4')
  assert.equal(way(made, 'grüße.EXAMPLE'), 'Local Domains A 0')
  assert.equal(way(made, 'xn--gre-6ka8l.example'), 'Local Domains A 0')
})
