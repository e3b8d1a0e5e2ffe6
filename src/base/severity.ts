/** 0 is worst; the words are `SEVERITIES`. */
export type Severity = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7

/** As Cisco spells the severities of RFC 5424 §6.2.1, the worst first. */
export const SEVERITIES = [
  'emergencies',
  'alerts',
  'critical',
  'errors',
  'warnings',
  'notifications',
  'informational',
  'debugging',
] as const
