/**
 * The recipes of docs/firewall.md before a Postfix and an Exim as Debian ships them, which are told by the firewall's own
 * connection that everybody is their neighbour, and relay for them; and with each of the ways of telling them who is
 * calling, for nobody.
 */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { formatProxyHeader } from '../../src/topology/proxy-protocol.ts'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import { type After, configuration, eventually, gateway, start } from '../journeys/gateway.ts'
import { Talk } from '../journeys/postern.ts'
import { unmet } from './needs.ts'
import { startExim } from './peers/exim.ts'
import { startPostfix } from './peers/postfix.ts'

const CALLER = '198.51.100.7'

interface Recipe {
  /** Of the firewall's file. */
  readonly lines: (server: number) => readonly string[]
  /** Of main.cf. */
  readonly settings: Readonly<Record<string, string>>
  readonly relays: boolean
  /** It is the firewall who refuses. */
  readonly here?: true
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  'with neither it relays for everybody, which is why one of them must be': {
    lines: () => [],
    settings: {},
    relays: true,
  },
  'with neither, and its domains named, the firewall takes nothing else': {
    lines: () => ['strict domain v4.peer.example'],
    settings: {},
    relays: false,
    here: true,
  },
  'a PROXY header tells it who is calling': {
    lines: server => [`proxy-protocol to 127.0.0.1 ${server} version 2`],
    settings: { smtpd_upstream_proxy_protocol: 'haproxy' },
    relays: false,
  },
  'XCLIENT tells it who is calling': {
    lines: () => ['strict xclient must'],
    settings: { smtpd_authorized_xclient_hosts: '127.0.0.1' },
    relays: false,
  },
}

describe('Postfix behind strict, as the recipe has it', { skip: unmet({ root: true, peers: ['postfix'] }) }, () => {
  after(() => stopAll())

  for (const [name, { lines, settings, relays, here = false }] of Object.entries(RECIPES)) {
    test(name, async t => {
      const [server = 0, unused = 0, port = 0] = await freePorts(3)
      const postfix = await startPostfix({ port: server, postern: unused }, settings)
      const talk = await throughStrict(t, port, server, lines(server))
      assert.match(await talk.ask('RCPT TO:<ann@v4.peer.example>'), /^250 /)
      const refused = here ? /^550 5\.7\.1 Relaying denied/ : /^[45]54 [45]\.7\.1 .*Relay access denied/
      assert.match(await talk.ask('RCPT TO:<b@elsewhere.example>'), relays ? /^250 / : refused)
      const client = relays || here ? '127.0.0.1' : CALLER
      const told = new RegExp(`client=unknown\\[${client.replaceAll('.', '\\.')}\\]`)
      await eventually(() => told.test(postfix.log()))
      talk.close()
    })
  }
})

describe('Postfix that does not believe our XCLIENT', { skip: unmet({ root: true, peers: ['postfix'] }) }, () => {
  after(() => stopAll())

  test('is sent nothing where it must be told who is calling', async t => {
    const [server = 0, unused = 0, port = 0] = await freePorts(3)
    const postfix = await startPostfix({ port: server, postern: unused }, {})
    const talk = await calling(t, port, server, ['strict xclient must'])
    assert.match(await talk.ask('EHLO c.example'), /^421 4\.3\.0 /)
    talk.close()
    await eventually(() => postfix.log().includes('disconnect from'))
    assert.doesNotMatch(postfix.log(), /mail=|rcpt=/)
  })
})

/** As Debian's configuration has it, in short. */
const EXIM_ACL = [
  '  accept hosts = 127.0.0.1 : ::1',
  '  accept domains = v4.peer.example',
  '  deny message = relay not permitted',
].join('\n')

const EXIM_RECIPES: Readonly<Record<string, Omit<Recipe, 'settings'> & { readonly settings: string }>> = {
  'with neither it relays for everybody': { lines: () => [], settings: '', relays: true },
  'with its domains named, the firewall takes nothing else': {
    lines: () => ['strict domain v4.peer.example'],
    settings: '',
    relays: false,
    here: true,
  },
  'a PROXY header tells it who is calling': {
    lines: server => [`proxy-protocol to 127.0.0.1 ${server} version 2`],
    settings: 'hosts_proxy = 127.0.0.1',
    relays: false,
  },
}

describe('Exim behind strict, as the recipe has it', { skip: unmet({ root: true, peers: ['exim-heavy'] }) }, () => {
  after(() => stopAll())

  for (const [name, { lines, settings, relays, here = false }] of Object.entries(EXIM_RECIPES)) {
    test(name, async t => {
      const [server = 0, unused = 0, port = 0] = await freePorts(3)
      const more = {
        peer: 'exim-heavy',
        acl: EXIM_ACL,
        settings: `log_selector = +smtp_connection\n${settings}`,
      } as const
      const exim = await startExim({ port: server, postern: unused }, more)
      const talk = await throughStrict(t, port, server, lines(server))
      assert.match(await talk.ask('RCPT TO:<ann@v4.peer.example>'), /^250 /)
      const refused = here ? /^550 5\.7\.1 Relaying denied/ : /^550 (?:5\.\d\.\d )?relay not permitted/
      assert.match(await talk.ask('RCPT TO:<b@elsewhere.example>'), relays ? /^250 / : refused)
      // It logs that somebody connected before it has read who, and a refusal with whom it takes it to be.
      const told = relays || here ? 'SMTP connection from [127.0.0.1]' : `[${CALLER}] F=<a@c.example> rejected RCPT`
      await eventually(() => exim.log().includes(told))
      talk.close()
    })
  }
})

/** Somebody from outside, who comes to a test by a balancer only, and has said whose mail it is. */
async function throughStrict(t: After, port: number, server: number, lines: readonly string[]): Promise<Talk> {
  const talk = await calling(t, port, server, lines)
  assert.match(await talk.ask('EHLO c.example'), /^250-/)
  assert.match(await talk.ask('MAIL FROM:<a@c.example>'), /^250 /)
  return talk
}

async function calling(t: After, port: number, server: number, lines: readonly string[]): Promise<Talk> {
  const own = gateway(port, server).filter(line => !line.startsWith('fixup'))
  const file = configuration(t, [...own, `strict smtp ${port}`, 'proxy-protocol from host 127.0.0.1', ...lines])
  await start(t, file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  const ends = { source: CALLER, sourcePort: 4242, destination: '127.0.0.1', destinationPort: port }
  talk.say(formatProxyHeader(2, ends))
  assert.match(await talk.hear(), /^220 /)
  return talk
}
