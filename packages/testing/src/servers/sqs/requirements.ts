/** LocalStack and all that it needs: newer ones of some do not fit, so each is pinned, and installed without others. */
export const REQUIREMENTS: readonly string[] = `
annotated-types==0.7.0 asn1crypto==1.5.1 attrs==26.1.0 awscrt==0.32.0 boto3==1.42.72
botocore==1.42.72 cachetools==7.0.5 cbor2==5.9.0 certifi==2026.2.25 cffi==2.0.0
charset-normalizer==3.4.7 click==8.3.2 constantly==23.10.4 cryptography==46.0.7 dill==0.3.6
dnslib==0.9.26 dnspython==2.8.0 docker==7.1.0 h11==0.16.0 h2==4.3.0 hpack==4.1.0 hypercorn==0.18.0
hyperframe==6.1.0 hyperlink==21.0.0 idna==3.11 incremental==24.11.0 isodate==0.7.2 jmespath==1.1.0
jsonpatch==1.33 jsonpointer==3.1.1 jsonschema==4.26.0 jsonschema-path==0.3.4
jsonschema-specifications==2025.9.1 lazy-object-proxy==1.12.0 localstack-core==2026.3.0
localstack-twisted==25.5.0 markdown-it-py==4.0.0 markupsafe==3.0.3 mdurl==0.1.2
more-itertools==11.0.2 openapi-core==0.22.0 openapi-schema-validator==0.6.3
openapi-spec-validator==0.7.2 packaging==26.1 pathable==0.4.4 plux==1.16.0 priority==1.3.0
psutil==7.2.2 pycparser==3.0 pydantic==2.13.1 pydantic-core==2.46.1 pygments==2.20.0
pyopenssl==26.0.0 python-dateutil==2.9.0.post0 python-dotenv==1.2.2 pyyaml==6.0.3
readerwriterlock==1.0.9 referencing==0.36.2 requests==2.33.1 requests-aws4auth==1.3.1
rfc3339-validator==0.1.4 rich==15.0.0 rolo==0.8.2 rpds-py==0.30.0 s3transfer==0.16.0 semver==3.0.4
six==1.17.0 typing-extensions==4.15.0 typing-inspection==0.4.2 urllib3==2.6.3 werkzeug==3.1.8
wsproto==1.3.2 xmltodict==1.0.4 zope-interface==8.3
`
  .trim()
  .split(/\s+/);
