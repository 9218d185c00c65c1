package platform

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm3"
)

// Each value was computed by a program of its own, or is a demonstration of the operator
// (Telecom's abc/def/ghi, Alibaba's DescribeRegions).
func TestSignatures(t *testing.T) {
	sum := sm3.Sum([]byte("abc"))
	for _, c := range []struct{ name, got, want string }{
		{"OneLink v2 token", onelinkV2Token("100123", "cwDemoPass", "1001232026112210300000000001"),
			"794ef6c1f091b71139415a2eb1eb83b6b97e6e7f43875df74b41cffed889d99d"},
		{"OneLink AIoT", aiotSign("cwdemosecretkey0", "/cmp/v5/ec/query/sim-stop-reason", "",
			`{"ak":"cwdemoak","iccid":"89860400000000000015","nonce":"0123456789abcdef0123456789abcdef","timestamp":"1795314600"}`),
			"nsxwiB6CqPQPJEpYdDqn9e1X4H09zz25CLoG6YP/0P8="},
		{"Telecom demonstration, one word", telecomEncrypt("test", "abcdefghi"), "41894168BD86A2CC"},
		{"Telecom demonstration, a sign", telecomSign("abcdefghi", "14914000000", "test", "test", "queryPakage"),
			"45E8B9924DE397A8F7E5764767810CF774CC7E1685BA702C9C4C367EFDAE5D932B37C0C8F0F8EB0CAD6372289F407CA9" +
				"41894168BD86A2CC32E5804EA05BAA5099649468B9418E52"},
		{"Telecom passWord", telecomEncrypt("Str0ngPass", "K7pQ2mX9c"), "C5D70768B33EA16AACE719A03FF549596F63F31C67E53B1F"},
		{"Telecom sign", telecomSign("K7pQ2mX9c", "1064900000017", "cwdemo01", "Str0ngPass", "queryCardMainStatus"),
			"031F9E0F61CB311C0A875EB2EF279298009BE5A554CAE486C464E38708189B6242ABC7726EA3E60D8947BF84B930991E" +
				"C5B581DE26F425CBFC6C89B70E0A9DE75384E99F4EE2B22B1D1BA437AC29411C49C763B2D5563354B77CCEC8AAAE8A18" +
				"964CA541D607249F41782CCCEF3561AD"},
		{"5GCMP", cmpSign(map[string]string{"access_number": "1064900000017", "queryDropCard": "false"},
			"0f1e2d3c4b5a69788796a5b4c3d2e1f0", "20261122103000"),
			"6139623263626164663364613965393635656235306238333430656535393530"},
		{"5GCMP, the number alone", cmpSign(map[string]string{"access_number": "1064900000017"}, "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
			"20261122103000"),
			strings.ToUpper(hex.EncodeToString([]byte("d0e1334cd13858016b02c551e32759f4")))},
		{"SM3 of abc", hex.EncodeToString(sum[:]), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
		{"Unicom token", unicomToken("sm3", "cwDemoApp1", "2026-11-22 10:30:00 123", "20261122103000123456789",
			"cwDemoSecret0123456789abcdefgh"),
			"97422096695b17adfebcf636bb30ee50f2c326216abb4de25c9a05cda9dd7d82"},
		{"Jasper", basic("cwuser", "00000000-1111-4222-8333-444444444444"),
			"Basic Y3d1c2VyOjAwMDAwMDAwLTExMTEtNDIyMi04MzMzLTQ0NDQ0NDQ0NDQ0NA=="},
		{"Hologram", basic("apikey", "cwDemoHologramKey"), "Basic YXBpa2V5OmN3RGVtb0hvbG9ncmFtS2V5"},
		{"1NCE", basic("cwapi", "cwSecret1"), "Basic Y3dhcGk6Y3dTZWNyZXQx"},
		{"Alibaba", alibabaSign("GET", "testsecret", map[string]string{"Action": "GetCardDetail", "Version": "2021-05-20",
			"Format": "JSON", "AccessKeyId": "testid",
			"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "Timestamp": "2026-11-22T02:30:00Z",
			"Iccid": "89860400000000000015", "RegionId": "cn-shanghai"}), "9H4eN+YrDLmPqSQZ5MfOvakB100="},
		{"Alibaba's published one", alibabaSign("GET", "testsecret", map[string]string{"Timestamp": "2016-02-23T12:46:24Z",
			"Format": "XML", "AccessKeyId": "testid",
			"Action": "DescribeRegions", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "Version": "2014-05-26", "SignatureVersion": "1.0"}),
			"OLeaidS1JvxuMvnyHOwuJ+uX5qY="},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}

// With the table of FIPS 46-3 in the place of its own, the cipher is DES: so nothing but
// that table differs.
func TestTelecomCipherIsDESButForOneTable(t *testing.T) {
	fips := [56]byte{57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
		63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4}
	if got := desBlock(0x0123456789ABCDEF, desKeys(0x133457799BBCDFF1, fips)); got != 0x85E813540F0AB405 {
		t.Errorf("%X", got)
	}
	if desPC1[28] != 28 || desPC1[32] != 61 || desPC1 == fips {
		t.Errorf("the second half of the key table is not Telecom's: %v", desPC1[28:])
	}
}
