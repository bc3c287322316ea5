package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificates are an authority of the test's own, and a certificate that is good for both ends of a connection over loopback.
type certificates struct {
	ca, cert, key string // the files' names

	roots *x509.CertPool
	pair  tls.Certificate
}

func newCertificates(tb testing.TB) *certificates {
	tb.Helper()
	dir := tb.TempDir()
	c := &certificates{ca: filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}

	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "redistest authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	caKey := newKey(tb)
	caDER := sign(tb, ca, ca, caKey, caKey)

	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "redistest"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.ParseIP(loopback)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key := newKey(tb)
	leafDER := sign(tb, leaf, ca, key, caKey)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("redistest: encode a key: %v", err)
	}

	writePEM(tb, c.ca, "CERTIFICATE", caDER)
	writePEM(tb, c.cert, "CERTIFICATE", leafDER)
	writePEM(tb, c.key, "PRIVATE KEY", keyDER)

	parsed, err := x509.ParseCertificate(caDER)
	if err != nil {
		tb.Fatalf("redistest: read our own certificate: %v", err)
	}
	c.roots = x509.NewCertPool()
	c.roots.AddCert(parsed)
	c.pair = tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
	return c
}

func (c *certificates) client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots, Certificates: []tls.Certificate{c.pair}}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("redistest: make a key: %v", err)
	}
	return key
}

func sign(tb testing.TB, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		tb.Fatalf("redistest: make a certificate: %v", err)
	}
	return der
}

func writePEM(tb testing.TB, name, kind string, der []byte) {
	tb.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
}
