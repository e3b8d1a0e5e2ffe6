/** The firewall before site B of the case study, as it was. Shared by tests. */
export const SITE_B = `nameif ethernet0 outside security0
nameif ethernet1 inside security100
nameif ethernet2 vpn security50
fixup protocol smtp 25
access-list vpn_in permit tcp 10.53.7.0 255.255.255.0 host 10.54.7.10 eq smtp
ip address outside 192.0.2.2 255.255.255.0
ip address inside 10.54.7.1 255.255.255.0
ip address vpn 10.54.250.1 255.255.255.0
global (outside) 1 interface
nat (inside) 1 10.54.7.0 255.255.255.0 0 0
static (inside,vpn) 10.54.7.0 10.54.7.0 netmask 255.255.255.0 0 0
access-group vpn_in in interface vpn
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
route vpn 10.53.0.0 255.255.0.0 10.54.250.2 1
`
