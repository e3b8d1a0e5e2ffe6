/** Link state within a routing group, over real sockets: two members and their master, each a mail server of its own. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { MailServer, readMailServer } from '../src/app/mail-server.ts'
import { MAX_UNKNOWN } from '../src/app/node-links.ts'
import { submit } from '../src/app/submission.ts'
import { bytes } from '../src/base/bytes.ts'
import { readBytes } from '../src/io/files.ts'
import { maildirOf, readMaildir } from '../src/io/maildir.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { writeFrame } from '../src/routing/frame.ts'
import { nameOf } from '../src/routing/master.ts'
import { parseMailbox } from '../src/smtp/address.ts'
import { freePorts } from '../tools/bench/process.ts'
import { certify, makeAuthority } from './certificates.ts'

/** How long a test waits for what must come about. */
const PATIENCE = 20_000
const NODES = { hub: '127.0.0.2', edge: '127.0.0.3', desk: '127.0.0.4' } as const
type Node = keyof typeof NODES

const nameOfNode = (node: Node): string => `${node}.a.example`

interface Ports {
  /** Of mail, at each node's own address. */
  readonly mail: number
  readonly nodes: number
  /** Where group B would be, were it there. */
  readonly far: number
}

/** How the connections within the group are secured: the last words of the `link-state` lines, and what they need. */
interface Means {
  readonly how: string
  readonly more: (node: Node) => readonly string[]
}

const PRIVATE: Means = { how: 'private', more: () => [] }

function textOf(node: Node, { mail, nodes, far }: Ports, { how, more }: Means): string {
  return [
    `hostname ${nameOfNode(node)}`,
    `listen ${NODES[node]} port ${mail}`,
    `local-domain ${nameOfNode(node)}`,
    `mailbox user@${nameOfNode(node)}`,
    'relay-from 127.0.0.0 255.0.0.0',
    'organization Contoso',
    'routing-group A',
    ...(Object.keys(NODES) as Node[]).map(
      each =>
        `group-member A ${nameOfNode(each)} address ${NODES[each]} port ${mail}${each === 'hub' ? ' master' : ''}`,
    ),
    ...(Object.keys(NODES) as Node[]).map(each => `group-domain A ${nameOfNode(each)} at ${nameOfNode(each)}`),
    'group-domain B b.example',
    // Group A has two ways out, so that the state of one is of use to somebody.
    `connector A-B to B cost 10 target 127.0.0.9 port ${far}`,
    `connector-source A-B ${nameOfNode('edge')}`,
    `connector A-C to C cost 10 target 127.0.0.9 port ${far}`,
    `connector-source A-C ${nameOfNode('edge')}`,
    node === 'hub'
      ? `link-state listen ${NODES.hub} port ${nodes} ${how}`
      : `link-state master ${NODES.hub} port ${nodes} ${how}`,
    'route-by link-state',
    'queue retry 1h',
    'link-state glitch-retries 1',
    ...['glitch-retry', 'probe', 'publish', 'retell'].map(timer => `link-state timer ${timer} 100ms`),
    'link-state timer attached-timeout 1s',
    'link-state peer mail-b',
    'spool memory',
    ...more(node),
  ].join('\n')
}

class Group {
  readonly servers = new Map<Node, MailServer>()
  readonly notes: string[] = []
  ports: Ports
  readonly #folder: string
  readonly #means: Means

  private constructor(folder: string, ports: Ports, means: Means) {
    this.#folder = folder
    this.ports = ports
    this.#means = means
  }

  static async start(t: TestContext, means: Means = PRIVATE): Promise<Group> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-group-'))
    const [mail = 0, nodes = 0, far = 0] = await freePorts(3)
    const group = new Group(folder, { mail, nodes, far }, means)
    t.after(async () => {
      await Promise.all([...group.servers.keys()].map(node => group.end(node)))
      rmSync(folder, { recursive: true, force: true })
    })
    for (const node of Object.keys(NODES) as Node[]) await group.begin(node)
    return group
  }

  /** What the file of a node says now. */
  #read(node: Node) {
    const file = join(this.#folder, `${node}.conf`)
    writeFileSync(file, textOf(node, this.ports, this.#means))
    return readMailServer(file)
  }

  async reload(node: Node): Promise<void> {
    assert.deepEqual(await this.servers.get(node)?.configure(await this.#read(node)), [])
  }

  async begin(node: Node): Promise<void> {
    const files = await this.#read(node)
    const events = { note: (what: string) => this.notes.push(`${node}: ${what}`) }
    const world = { spool: new MemorySpool(), maildir: join(this.#folder, node), events }
    this.servers.set(node, await MailServer.start(files, world))
  }

  async end(node: Node): Promise<void> {
    const server = this.servers.get(node)
    this.servers.delete(node)
    await server?.stop({ grace: 0 })
  }

  at(node: Node) {
    const found = this.servers.get(node)
    assert.ok(found)
    return found.mta.routing
  }

  /** What a node believes of a connector of the group. */
  state(node: Node, connector: string): string {
    const own = this.at(node).service.engine.own
    return own?.connectors.find(each => nameOf(each) === connector)?.state ?? 'unknown'
  }

  /** Which members are attached, as a node believes. */
  attached(node: Node): string {
    return (this.at(node).service.engine.own?.members ?? []).map(({ attached }) => (attached ? '+' : '-')).join('')
  }

  areOne(): boolean {
    return new Set([...this.servers.keys()].map(node => this.at(node).service.engine.digest)).size === 1
  }

  async send(from: Node, to: string): Promise<void> {
    const [sender, recipient] = [parseMailbox(`user@${nameOfNode(from)}`), parseMailbox(to)]
    assert.ok(!('wrong' in sender) && !('wrong' in recipient))
    const folder = { entry: from, from: sender, to: recipient }
    const endpoint = { host: NODES[from], port: this.ports.mail }
    assert.equal(await submit(endpoint, folder, bytes('Subject: x\r\n\r\nHello\r\n')), undefined)
  }

  /** How many messages a mailbox of a node has. */
  async mail(node: Node, mailbox: string): Promise<number> {
    return (await readMaildir(maildirOf(join(this.#folder, node), mailbox))).length
  }

  async until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE
    while (!(await so())) {
      assert.ok(Date.now() < end, `it did not come about that ${what}; notes:\n${this.notes.join('\n')}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  /** A connection to where the master hears members, from some address of this machine. */
  knock(from: string, said: string | Uint8Array = ''): Promise<string> {
    const socket = net.connect({ host: NODES.hub, port: this.ports.nodes, localAddress: from })
    return heard(socket, said)
  }
}

/** What comes over a connection until the other side ends it. */
function heard(socket: net.Socket, said: string | Uint8Array, untilHeard = /(?!)/): Promise<string> {
  let text = ''
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    if (untilHeard.test(text)) socket.destroy()
  })
  socket.on('error', () => {})
  if (said.length > 0) socket.write(said)
  return new Promise(resolve => socket.on('close', () => resolve(text)))
}

test('a member learns by its master that a connector of another member is down; the master dies, and comes back', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.at('desk').isAttached === true)
  // The desk has no connector that it could try itself.
  assert.deepEqual(
    ['hub', 'edge', 'desk'].map(node => group.state(node as Node, 'A-B')),
    ['up', 'up', 'up'],
  )
  await group.send('edge', 'carol@b.example')
  await group.until('the desk knows', () => group.state('desk', 'A-B') === 'down')
  await group.until('all are one', () => group.areOne())
  assert.ok(group.notes.includes('edge: routing: connector A-B is down; its master is told'))
  assert.ok(group.notes.includes('hub: routing: published A-B is down'))

  await group.end('hub')
  await group.until('the members see it', () => group.at('desk').isAttached === false)
  // Nobody takes its place, and they go on with what they know.
  assert.equal(group.state('desk', 'A-B'), 'down')
  const before = group.at('desk').service.engine.own?.version
  await group.begin('hub')
  // It lost its memory, and what it counts from is what its members knew; what is down is told it again.
  await group.until('it is as before', () => group.state('hub', 'A-B') === 'down' && group.areOne())
  const after = group.at('desk').service.engine.own?.version
  assert.ok(after && before && after.major > before.major, `${JSON.stringify(before)} then ${JSON.stringify(after)}`)
})

test('a master and its members read their files again: they find each other anew, know what they knew, and hear what is new', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.attached('desk') === '+++')
  await group.send('edge', 'carol@b.example')
  await group.until('the desk knows', () => group.state('desk', 'A-B') === 'down' && group.areOne())
  const nodes = Object.keys(NODES) as readonly Node[]
  for (const node of nodes) {
    const [before] = group.servers.get('hub')?.memberEndpoints ?? []
    await group.reload(node)
    assert.deepEqual(group.servers.get('hub')?.memberEndpoints, [before])
    await group.until(`all are one after ${node}`, () => group.areOne() && group.attached('desk') === '+++')
    await group.until('what was down is', () => nodes.every(each => group.state(each, 'A-B') === 'down'))
  }
  await group.until(
    'all are attached',
    () => group.at('desk').isAttached === true && group.at('edge').isAttached === true,
  )
  const far = net.createServer(socket => void socket.on('error', () => {}).write('220 b.example\r\n'))
  await new Promise<void>(resolve => far.listen(group.ports.far, '127.0.0.9', resolve))
  t.after(() => far.close())
  await group.until('the desk hears that it is back', () => group.state('desk', 'A-B') === 'up' && group.areOne())
})

test('a master hears its members at another port after a reload, and at the old one no more', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.attached('desk') === '+++')
  const old = group.ports.nodes
  const [nodes = 0] = await freePorts(1)
  group.ports = { ...group.ports, nodes }
  await group.reload('hub')
  await group.until('the desk is alone', () => group.at('desk').isAttached === false)
  const refused = net.connect({ host: NODES.hub, port: old, localAddress: NODES.desk })
  const code = await new Promise(resolve =>
    refused.on('error', cause => resolve((cause as NodeJS.ErrnoException).code)),
  )
  assert.equal(code, 'ECONNREFUSED')
  await group.reload('edge')
  await group.reload('desk')
  await group.until('all are one', () => group.areOne() && group.at('desk').isAttached === true)
  await group.until('all are there', () => group.attached('desk') === '+++')
})

test('mail finds the member that has the mailbox, and the one that holds the connector', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne())
  await group.send('desk', 'user@edge.a.example')
  await group.until('it is there', async () => (await group.mail('edge', 'user@edge.a.example')) === 1)
  // Only the edge has a way to B; the desk hands it over rather than keep it.
  await group.send('desk', 'carol@b.example')
  const waiting = async (node: Node) => (await group.servers.get(node)?.mta.queue())?.length
  await group.until('it waits at the edge', async () => (await waiting('edge')) === 1 && (await waiting('desk')) === 0)
})

test('a member that goes is published as detached, with the connectors that only it has; it comes back', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.attached('desk') === '+++')
  await group.end('edge')
  await group.until('the desk hears of it', () => group.attached('desk') !== '+++')
  await group.until('its connectors are down', () => group.state('desk', 'A-C') === 'down')
  await group.begin('edge')
  await group.until('it is back', () => group.attached('desk') === '+++' && group.areOne())
})

test('what a bridgehead is told by another group reaches the members of its own', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.at('edge').isAttached === true)
  const table = group
    .at('edge')
    .service.engine.table.map(state =>
      state.group === group.at('edge').service.engine.group
        ? state
        : { ...state, version: { major: 7, minor: 0, user: 0 } },
    )
  const digest = group.at('edge').service.engine.digestOf(table)
  // As it comes in a session over SMTP, behind the login of a bridgehead.
  const frame = writeFrame({ kind: 'orginfo', digest, groups: table })
  const answer = group.at('edge').answering(false)({ about: 'link-state', frame, login: 'mail-b', trimmed: 0 })
  assert.ok('frame' in answer)
  await group.until('the desk knows', () =>
    group
      .at('desk')
      .service.engine.table.every(
        ({ group: id, version }) => id === group.at('desk').service.engine.group || version.major === 7,
      ),
  )
})

test('a stranger gets no word, and what it says is not read; the members stay', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.at('desk').isAttached === true)
  const frame = writeFrame({ kind: 'node-info', text: 'Version: 6.0.6249.0     Microsoft Routing Server ready\r\n' })
  assert.equal(await group.knock('127.0.0.77', frame), '')
  assert.ok(
    group.notes.includes(
      'hub: routing state within the group: the address 127.0.0.77 is refused: it belongs to no member of the group',
    ),
  )
  // Three hundred of them at once are as little, and are told of by tens and hundreds.
  await Promise.all(Array.from({ length: 300 }, () => group.knock('127.0.0.77', frame)))
  const told = group.notes.filter(note => note.includes('127.0.0.77'))
  assert.deepEqual(
    told.map(note => /\((\d+) times\)/.exec(note)?.[1]),
    [undefined, '10', '100'],
  )
  assert.equal(group.at('desk').isAttached, true)
})

test('a member that its master does not know is told once why it hears nothing', async t => {
  const group = await Group.start(t)
  await group.until('it is attached', () => group.at('desk').isAttached === true)
  await group.end('hub')
  // Another server listens there, and knows of nobody.
  let knocks = 0
  const other = net.createServer(socket => {
    knocks++
    socket.destroy()
  })
  await new Promise<void>(resolve => other.listen(group.ports.nodes, NODES.hub, resolve))
  t.after(() => other.close())
  await group.until('it asked again and again', () => knocks >= 6)
  const said = group.notes.filter(note => note.startsWith('desk: ') && note.includes('it hung up before a word'))
  assert.equal(said.length, 1, group.notes.join('\n'))
  assert.equal(group.at('desk').isAttached, false)
})

test('a member that floods is cut off, and the others do not notice', async t => {
  const group = await Group.start(t)
  await group.until('all are one', () => group.areOne() && group.at('desk').isAttached === true)
  await group.end('edge')
  const hello = writeFrame({ kind: 'node-info', text: 'Version: 1.0 Postern Routing Server ready\r\n' })
  // The master greets whoever has a member's address; then a frame that is longer than any may be, and one that never ends.
  for (const said of [`${hello}{7fffffff} ORGINFO `, `${hello}{${'0'.repeat(100_000)}`, 'A'.repeat(8_000_000)]) {
    assert.match(await group.knock(NODES.edge, said), /^\{[0-9a-f]{8}\} NODEINFO/)
  }
  const refused = group.notes.filter(note => note.startsWith('hub: routing state with edge.a.example: '))
  assert.ok(refused.length >= 2, group.notes.join('\n'))
  assert.equal(group.at('desk').isAttached, true)
  await group.begin('edge')
  await group.until('the honest one is back', () => group.at('edge').isAttached === true && group.areOne())
})

test('with TLS both show a certificate: who has none, or one for another name, is not heard', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-group-keys-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const authority = makeAuthority(folder)
  const own = Object.fromEntries(
    ['hub', 'edge', 'desk'].map(node => [node, certify(authority, join(folder, node), [`${node}.a.example`])]),
  )
  const group = await Group.start(t, {
    how: `tls ca ${authority.authority}`,
    more: node => [`tls certificate ${own[node]?.certificate} key ${own[node]?.key}`],
  })
  await group.until('all are one', () => group.areOne() && group.at('desk').isAttached === true)
  await group.send('edge', 'carol@b.example')
  await group.until('the desk knows', () => group.state('desk', 'A-B') === 'down')

  const frame = writeFrame({ kind: 'node-info', text: 'Version: 1.0 Postern Routing Server ready\r\n' })
  const secure = (keys: tls.ConnectionOptions) => {
    const socket = tls.connect({ host: NODES.hub, port: group.ports.nodes, rejectUnauthorized: false, ...keys })
    return heard(socket, frame, /NODEINFO/)
  }
  assert.equal(await group.knock(NODES.edge, frame), '', 'in clear')
  assert.equal(await secure({}), '', 'without a certificate')
  const other = certify(makeAuthority(join(folder, 'other')), join(folder, 'forged'), ['edge.a.example'])
  const pair = ({ certificate, key }: { certificate: string; key: string }) => ({
    cert: readBytes(certificate),
    key: readBytes(key),
  })
  assert.equal(await secure(pair(other)), '', 'signed by somebody else')
  const misnamed = certify(authority, join(folder, 'misnamed'), ['mallory.a.example'])
  assert.equal(await secure(pair(misnamed)), '', 'for another name')
  assert.ok(
    group.notes.includes(
      'hub: routing state within the group: the certificate that 127.0.0.1 showed is refused: it belongs to no member of the group',
    ),
    group.notes.join('\n'),
  )
  assert.match(await secure(pair(own.edge ?? misnamed)), /NODEINFO/, 'with the certificate of a member')

  // Who comes and says nothing takes up one of few places, and the members have theirs.
  const open = new Set<net.Socket>()
  for (let i = 0; i < 3 * MAX_UNKNOWN; i++) {
    const socket = net.connect({ host: NODES.hub, port: group.ports.nodes })
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.resume()
  }
  await group.until('all but a few are sent away', () => open.size <= MAX_UNKNOWN)
  assert.equal(group.at('desk').isAttached, true)
  // They do not keep out who shows a certificate.
  await group.end('desk')
  await group.begin('desk')
  await group.until('a member comes in again', () => group.at('desk').isAttached === true && group.areOne())
  for (const socket of open) socket.destroy()
})
