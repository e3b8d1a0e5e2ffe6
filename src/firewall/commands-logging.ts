import type { Diagnostic } from '../base/problem.ts'
import { SEVERITIES } from '../base/severity.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { LEVEL, levelOf } from '../config/served.ts'
import { quote } from '../config/text.ts'
import {
  LOCAL_SYSLOG,
  type LogFile,
  type LoggingConfig,
  type LogHost,
  NO_GATEWAY,
  SYSLOG_PORT,
} from './gateway-config.ts'

type Spec = CommandSpec<LoggingConfig>

function error(message: string, at: Diagnostic['at'], hint: string): { readonly problems: readonly Diagnostic[] } {
  return { problems: [{ severity: 'error', message, hint, ...(at && { at }) }] }
}

const ON: Spec = {
  syntax: 'logging on|enable',
  help: 'Send messages where the other logging lines say',
  apply: config => ({ ...config, on: true }),
  remove: config => ({ ...config, on: false }),
  show: ({ on }) => (on ? ['logging on'] : []),
}

const TIMESTAMP: Spec = {
  syntax: 'logging timestamp',
  help: 'Begin every line with the date',
  apply: config => ({ ...config, timestamp: true }),
  remove: config => ({ ...config, timestamp: false }),
  show: ({ timestamp }) => (timestamp ? ['logging timestamp'] : []),
}

const FACILITY: Spec = {
  syntax: 'logging facility <facility:number>',
  noSyntax: 'logging facility [<facility:number>]',
  help: 'The syslog facility of what is sent: 16 to 23, for local0 to local7',
  apply(config, args) {
    const facility = args.number('facility')
    if (facility < 16 || facility > 23) {
      return error(`${facility} is not a facility of ours`, args.at('facility'), 'expected 16 to 23 (local0 to local7)')
    }
    return { ...config, facility }
  },
  remove: config => ({ ...config, facility: NO_GATEWAY.logging.facility }),
  show: ({ facility }) => (facility === NO_GATEWAY.logging.facility ? [] : [`logging facility ${facility}`]),
}

const TRAP: Spec = {
  syntax: `logging trap ${LEVEL}`,
  noSyntax: `logging trap [${LEVEL}]`,
  help: 'What goes to the hosts and to `logging local`: messages of this level and worse',
  apply: (config, args) => ({ ...config, trap: levelOf(args, 6) }),
  remove: config => ({ ...config, trap: NO_GATEWAY.logging.trap }),
  show: ({ trap }) => (trap === NO_GATEWAY.logging.trap ? [] : [`logging trap ${SEVERITIES[trap]}`]),
}

const BUFFERED: Spec = {
  syntax: `logging buffered ${LEVEL}`,
  noSyntax: `logging buffered [${LEVEL}]`,
  help: 'What is kept for show logging: messages of this level and worse',
  apply: (config, args) => ({ ...config, buffered: levelOf(args, 7) }),
  remove: ({ buffered: _, ...config }) => config,
  show: ({ buffered }) => (buffered === undefined ? [] : [`logging buffered ${SEVERITIES[buffered]}`]),
}

const HOST: Spec = {
  syntax: 'logging host [<if-name:name>] <ip> [{udp/<udp-port:port> | tcp/<tcp-port:port>}] [format emblem]',
  help: 'Send messages to a syslog server (RFC 5424), over UDP unless tcp/PORT stands there',
  words: { udp: 'over UDP (RFC 5426)', tcp: 'over TCP, each with its length before it (RFC 6587)' },
  apply: (config, args) => ({
    ...config,
    hosts: [...config.hosts.filter(each => !sameHost(each, host(args))), host(args)],
  }),
  remove: (config, args) => ({ ...config, hosts: config.hosts.filter(each => !sameHost(each, host(args))) }),
  show: ({ hosts }) => hosts.map(showHost),
}

function host(args: Arguments): LogHost {
  const transport = args.has('tcp-port') ? 'tcp' : 'udp'
  return {
    port: args.text('if-name', ''),
    ip: args.text('ip'),
    transport,
    number: args.number(`${transport}-port`, SYSLOG_PORT),
  }
}

function sameHost(a: LogHost, b: LogHost): boolean {
  return showHost({ ...a, port: '' }) === showHost({ ...b, port: '' })
}

function showHost({ port, ip, transport, number }: LogHost): string {
  const how = transport === 'udp' && number === SYSLOG_PORT ? '' : ` ${transport}/${number}`
  return `logging host ${port === '' ? '' : `${port} `}${ip}${how}`
}

const LOCAL: Spec = {
  syntax: 'logging local [<socket:file>]',
  help: `Send messages to the syslog of this machine (${LOCAL_SYSLOG}), or to journald behind it`,
  apply: (config, args) => ({ ...config, local: args.text('socket', LOCAL_SYSLOG) }),
  remove: ({ local: _, ...config }) => config,
  show: ({ local }) =>
    local === undefined ? [] : [local === LOCAL_SYSLOG ? 'logging local' : `logging local ${quote(local)}`],
}

const FILE: Spec = {
  syntax: `logging <form:file|json> <file> [${LEVEL}]`,
  help: 'Write messages to a file: as syslog lines, or as one JSON object a line',
  words: { file: 'syslog lines into a file', json: 'JSON lines into a file' },
  apply: (config, args) => ({
    ...config,
    files: [...config.files.filter(each => !sameFile(each, args)), { ...fileOf(args), level: levelOf(args, 6) }],
  }),
  remove: (config, args) => ({ ...config, files: config.files.filter(each => !sameFile(each, args)) }),
  show: ({ files }) => files.map(({ form, file, level }) => `logging ${form} ${quote(file)} ${SEVERITIES[level]}`),
}

function fileOf(args: Arguments): Omit<LogFile, 'level'> {
  return { form: args.text('form') as LogFile['form'], file: args.text('file') }
}

function sameFile(each: LogFile, args: Arguments): boolean {
  const { form, file } = fileOf(args)
  return each.form === form && each.file === file
}

const MESSAGE: Spec = {
  syntax: `logging message <id:number> [level ${LEVEL}]`,
  help: 'Tell this message at another level; its no form silences it',
  apply(config, args) {
    const id = args.number('id')
    const others = config.messages.filter(each => each.id !== id)
    return { ...config, messages: args.has('level') ? [...others, { id, level: levelOf(args, 6) }] : others }
  },
  remove(config, args) {
    const id = args.number('id')
    return { ...config, messages: [...config.messages.filter(each => each.id !== id), { id }] }
  },
  show: ({ messages }) =>
    messages.map(({ id, level }) =>
      level === undefined ? `no logging message ${id}` : `logging message ${id} level ${SEVERITIES[level]}`,
    ),
}

const ELSEWHERE =
  'asdm|asdm-buffer-size|buffer-size|class|console|debug-trace|device-id|emblem|from-address|history|list|mail|monitor|permit-hostdown|queue|rate-limit|recipient-address|standby'

const KEPT: Spec = {
  syntax: `logging <where:${ELSEWHERE}> [<rest:text...>]`,
  help: 'Other places and forms a PIX logs to and in (kept, and not enforced here)',
  apply(config, args) {
    const line = keptLine(args)
    return { ...config, kept: [...config.kept.filter(each => each !== line), line] }
  },
  remove: (config, args) => ({ ...config, kept: config.kept.filter(each => each !== keptLine(args)) }),
  show: ({ kept }) => kept.map(line => `logging ${line}`),
}

function keptLine(args: Arguments): string {
  return [args.text('where'), args.optional('rest')].filter(part => part !== undefined).join(' ')
}

export const LOGGING_COMMANDS: readonly Spec[] = [
  ON,
  TIMESTAMP,
  FACILITY,
  BUFFERED,
  TRAP,
  HOST,
  LOCAL,
  FILE,
  MESSAGE,
  KEPT,
]
