import type { FirewallConfig, Fixup } from './config.ts'

/**
 * The lines of the policy framework that say what these fixups say, as a PIX wrote them when it became 7.0: every fixup
 * an `inspect`, the usual ports in one class, any other port in a class of its own.
 */
export function convertFixups({ smtpFixups, otherFixups, disabledFixups }: FirewallConfig): readonly string[] {
  const others = [...new Set(otherFixups.flatMap(each => inspectionOf(each) ?? []))]
  const usual = smtpFixups.some(covers25)
  const odd = smtpFixups.filter(each => !isUsual(each))
  const info = [
    ...otherFixups.map(each => `! converting 'fixup protocol ${each}' to MPF commands`),
    ...smtpFixups.map(({ ports }) => `! converting 'fixup protocol smtp ${range(ports)}' to MPF commands`),
    ...(smtpFixups.length > 0 ? ['! inspect esmtp lets EHLO through, which MailGuard does not'] : []),
    ...disabledFixups.map(each => `! 'no fixup protocol ${each}' leaves nothing to convert`),
    ...otherFixups
      .filter(each => inspectionOf(each) === undefined)
      .map(each => `! 'fixup protocol ${each}' has no counterpart`),
  ]
  if (smtpFixups.length === 0 && others.length === 0) return info
  return [
    ...info,
    'class-map inspection_default',
    ' match default-inspection-traffic',
    ...odd.flatMap(({ ports }) => [
      `class-map ${className(ports)}`,
      ports.from === ports.to ? ` match port tcp eq ${ports.from}` : ` match port tcp range ${ports.from} ${ports.to}`,
    ]),
    'policy-map global_policy',
    ' class inspection_default',
    ...(usual ? ['  inspect esmtp'] : []),
    ...others.map(each => `  inspect ${each}`),
    ...odd.flatMap(({ ports }) => [` class ${className(ports)}`, '  inspect esmtp']),
    'service-policy global_policy global',
  ]
}

function isUsual({ ports }: Fixup): boolean {
  return ports.from === 25 && ports.to === 25
}

function covers25({ ports }: Fixup): boolean {
  return ports.from <= 25 && ports.to >= 25
}

function range({ from, to }: Fixup['ports']): string {
  return from === to ? `${from}` : `${from}-${to}`
}

function className(ports: Fixup['ports']): string {
  return `smtp_${range(ports)}`
}

/** Fixup → inspection; a port that is not the usual one is lost in this list, as it is one class for all. */
const INSPECTIONS: Readonly<Record<string, string>> = {
  ctiqbe: 'ctiqbe',
  dns: 'dns',
  ftp: 'ftp',
  'h323 h225': 'h323 h225',
  'h323 ras': 'h323 ras',
  h323: 'h323 h225',
  http: 'http',
  icmp: 'icmp',
  ils: 'ils',
  mgcp: 'mgcp',
  pptp: 'pptp',
  rsh: 'rsh',
  rtsp: 'rtsp',
  'sip udp': 'sip',
  sip: 'sip',
  skinny: 'skinny',
  snmp: 'snmp',
  sqlnet: 'sqlnet',
  tftp: 'tftp',
}

function inspectionOf(fixup: string): string | undefined {
  const [one = '', two = ''] = fixup.split(' ')
  return INSPECTIONS[`${one} ${two}`] ?? INSPECTIONS[one]
}
