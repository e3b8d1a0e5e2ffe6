/** Frames whose octets are known. The name keeps it out of the published package. */

/**
 * The OrgInfo packet that Microsoft printed ("Understanding OrgInfo Packet Details"), its anonymised names filled up to
 * the lengths they declare: both its length and its digest come out.
 */
export const PRINTED: string =
  '{00000457} ORGINFO a9c421ebe14f06710f6ab596345ac615 ( a2a0f896d197b84999557850ac796258 2d07476703630' +
  'a4d87a651498e2d73b9 a 0 0 f0dcd868912f54479b26d729863bb825 {26}*.A2A0F896-D197-B849-9955-7850AC79625' +
  '8 {4b}c=US;a= ;p=Example1234;o=Exchange;cn=A2A0F896-D197-B849-9955-7850AC796258;* {53}/o=Example1234' +
  '/ou=First Administrative Group/*/A2A0F896-D197-B849-9955-7850AC796258 ( 2d07476703630a4d87a651498e2d' +
  '73b9 YES 1 1aae {10}0701000000000101  979733932e995742bc2d5ecf93198b4d YES 1 1aae {10}07010000000001' +
  '01 ) ( f76005bd57ad93428518268f28f4f7e6 ( CONFIG {4}SMTP {23}_f76005bd57ad93428518268f28f4f7e6_S {} ' +
  '{54}/o=Example1234/ou=First Administrative Group/cn=Configuration/cn=Connections/cn=JUNK 0 0 0 0 fff' +
  'fffff ffffffff 0 1 0 () 6 ( {24}CN=tester07,CN=Users,DC=domai,DC=com  {24}CN=tester04,CN=Users,DC=do' +
  'mai,DC=com  {24}CN=tester03,CN=Users,DC=domai,DC=com  {24}CN=tester02,CN=Users,DC=domai,DC=com  {24}' +
  'CN=tester01,CN=Users,DC=domai,DC=com  {29}CN=Administrator,CN=Users,DC=domai,DC=com ) 0 () 0 ()  ARR' +
  'OWS ( {4}SMTP {1}* 1 ) BH ( 2fdb30b62e4ea949a71f91f319535143 CONN_AVAIL {13}RGR-65-02.domai.com ) TA' +
  'RGBH () STATE UP)))  '

/** A digest query whose lengths are those of the fragment that Snort's rule shows, and the answer to it. */
export const QUERY_LINE: string =
  'X-LINK2STATE LAST CHUNK={0000006d} MULTI (5) ({00000000051} DIGEST_QUERY 0f0000000000000000000000000' +
  '00091 54bfaf7e989fab2a6a768c54119ebc7a  )  '
export const ANSWER_LINE: string = '200 LAST CHUNK={0000002c} MULTI (5) ({00000000010} DONE_RESPONSE  )  '

/** Two groups, A and B, joined by connectors of cost 1. */
export const TWO_GROUPS: string =
  '{000006de} ORGINFO 54bfaf7e989fab2a6a768c54119ebc7a ( a0000000000000000000000000000001 a100000000000' +
  '0000000000000000011 3 0 2 e0000000000000000000000000000071 {26}*.A0000000-0000-0000-0000-00000000000' +
  '1 {47}c=US;a= ;p=Contoso;o=Exchange;cn=A0000000-0000-0000-0000-000000000001;* {4f}/o=Contoso/ou=Firs' +
  't Administrative Group/*/A0000000-0000-0000-0000-000000000001 ( a1000000000000000000000000000011 YES' +
  ' 1 1aae {10}0701000000000101 ) ( a3000000000000000000000000000051 ( CONFIG {2}RG {23}_a3000000000000' +
  '000000000000000051_S {23}_a3000000000000000000000000000051_D {52}/o=Contoso/ou=First Administrative ' +
  'Group/cn=Configuration/cn=Connections/cn=A to B 0 0 0 0 ffffffff ffffffff 0 1 0 () 0 () 0 () 0 ()  A' +
  'RROWS ( {2}RG {24}B0000000-0000-0000-0000-000000000002 1 ) BH ( a2000000000000000000000000000031 CON' +
  'N_AVAIL {d}ex1.a.example ) TARGBH ( b2000000000000000000000000000041 CONN_AVAIL {d}ex2.b.example ) S' +
  'TATE UP)) b0000000000000000000000000000002 b1000000000000000000000000000021 2 1 0 e00000000000000000' +
  '00000000000082 {26}*.B0000000-0000-0000-0000-000000000002 {47}c=US;a= ;p=Contoso;o=Exchange;cn=B0000' +
  '000-0000-0000-0000-000000000002;* {4f}/o=Contoso/ou=First Administrative Group/*/B0000000-0000-0000-' +
  '0000-000000000002 ( b1000000000000000000000000000021 YES 1 1aae {10}0701000000000101 ) ( b3000000000' +
  '000000000000000000061 ( CONFIG {2}RG {23}_b3000000000000000000000000000061_S {23}_b30000000000000000' +
  '00000000000061_D {52}/o=Contoso/ou=First Administrative Group/cn=Configuration/cn=Connections/cn=B t' +
  'o A 0 0 0 0 ffffffff ffffffff 0 1 0 () 0 () 0 () 0 ()  ARROWS ( {2}RG {24}A0000000-0000-0000-0000-00' +
  '0000000001 1 ) BH ( b2000000000000000000000000000041 CONN_AVAIL {d}ex2.b.example ) TARGBH ( a2000000' +
  '000000000000000000000031 CONN_AVAIL {d}ex1.a.example ) STATE UP)))  '

/** What is hashed for them, while all is up. */
export const TWO_RECORDS: string =
  'a0000000000000000000000000000001e0000000000000000000000000000071030000000000000002000000' +
  'b0000000000000000000000000000002e0000000000000000000000000000082020000000100000000000000'
export const DIGEST_UP = '54bfaf7e989fab2a6a768c54119ebc7a'
/** A's connector went down, and A became 3.1.2. */
export const DIGEST_DOWN = '0f8a05bc23a55d672bd098db7c08e957'
