import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import { NO_PROXIES } from './commands-proxy.ts'
import type { FirewallConfig } from './config.ts'

function read(...lines: readonly string[]): FirewallConfig {
  const { config, problems } = parse(FIREWALL, lines.map(line => `${line}\n`).join(''), 'gw.conf')
  assert.deepEqual(problems, [])
  return config
}

const BASE = [
  'nameif ethernet0 outside security0',
  'nameif ethernet1 inside security100',
  'access-list mail permit tcp any any',
  'access-group mail in interface outside',
  'static (inside,outside) tcp 192.0.2.5 25 10.0.0.5 2526 netmask 255.255.255.255',
]
const EVERYTHING = [
  'strict smtp 25',
  'strict smtp 587-588',
  'watchguard smtp-incoming 2525',
  'strict site host 192.0.2.1',
  'strict site 10.0.0.0 255.0.0.0',
  'strict domain b.example',
  'strict certificate "my cert.pem" key my.key',
  'strict certificate mx.pem key mx.key name mx.b.example',
  'strict message-size 10m',
  'strict greet-wait 6s',
  'strict tls require',
  'strict onward-tls must',
  'strict bare-line-ends space',
  'strict xclient',
]

const plain = (config: unknown): unknown =>
  JSON.parse(JSON.stringify(config, (key, value) => (key === 'at' ? undefined : value)))

test('every line of a proxy is shown so that it reads as the same, and its no form undoes it', () => {
  const once = read(...EVERYTHING)
  const shown = show(FIREWALL, once)
  for (const line of EVERYTHING) assert.ok(shown.includes(`${line}\n`), `${line} in:\n${shown}`)
  assert.deepEqual(plain(read(...shown.trimEnd().split('\n')).proxies), plain(once.proxies))
  const undone = read(...EVERYTHING, ...EVERYTHING.toReversed().map(line => `no ${line}`))
  assert.deepEqual(plain(undone.proxies), plain(NO_PROXIES))
})

function policyAt(...lines: readonly string[]) {
  const caller = { source: '198.51.100.1', destination: '192.0.2.5', port: 25 }
  const admission = admit(read(...BASE, ...lines), 'gw', 'outside', caller)
  return admission.kind === 'refuse' ? undefined : admission.policy
}

test('a proxy stands between on its port, by the number asked for or the one it becomes, before any other inspection', () => {
  assert.equal(policyAt('strict smtp 25')?.cause.command, 'strict smtp 25')
  assert.equal(policyAt('strict smtp 2526', 'fixup protocol smtp 25')?.cause.cure, 'no strict smtp 2526')
  assert.equal(policyAt('strict smtp 587', 'fixup protocol smtp 25')?.cause.command, 'fixup protocol smtp 25')
  assert.equal(policyAt('watchguard smtp-incoming 25')?.name, 'WatchGuard SMTP-Incoming')
  // That one is for the other way.
  assert.equal(policyAt('watchguard smtp-outgoing 25'), undefined)
})

test('what a site has otherwise is in the policy, and the line that put it in force is its cause', () => {
  const policy = policyAt('strict smtp 25', 'strict tls off', 'strict xclient', 'strict greet-wait 6s')
  assert.ok(policy?.engine.kind === 'proxy')
  const { tls, xclient, waits } = policy.engine
  assert.deepEqual([tls, xclient, waits.pregreet], ['off', true, 6_000])
  assert.equal(policy.cause.at.line, BASE.length + 1)
})
