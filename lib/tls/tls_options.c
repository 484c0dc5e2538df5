/* Adds the settings of TLS, and checks them. */
#include "tls/tls_material.h"

#include "base/required.h"

#include <prefork/error.h>
#include <prefork/tls.h>

/* What contradicts itself without a look at the files. */
static int check_together(const struct pfi_tls_settings *values)
{
	if (values->keyfile != NULL && values->certfile == NULL)
		return prefork_fail(PREFORK_ECONFIG, "keyfile needs certfile, the certificate of that key");
	if (values->ocsp_file != NULL && values->certfile == NULL)
		return prefork_fail(PREFORK_ECONFIG, "ocsp_file needs certfile, the certificate that it is about");
	if (values->cert_reqs % PFI_TLS_VERIFY_COUNT != PFI_TLS_VERIFY_NONE && values->ca_certs == NULL && pfi_tls_is_on(values))
		return prefork_fail(PREFORK_ECONFIG, "cert_reqs needs ca_certs, the authorities that clients' certificates are verified with");
	return 0;
}

/* At a start and a reload, the hook check_pool reads the files. --check-config has no arbiter. */
static int check(const struct prefork_settings *settings, void *user)
{
	const struct pfi_tls_settings *const values = pfi_tls_settings(settings);
	struct pfi_tls_material *material;
	int r = check_together(values);

	(void)user;
	if (r < 0 || !pfi_tls_is_on(values) || prefork_settings_int(settings, "check_config") != 1)
		return r;
	material = pfi_tls_material_create(values);
	r = material != NULL ? pfi_tls_material_refresh(material, NULL) : prefork_fail(-ENOMEM, "no memory for TLS contexts");
	pfi_tls_material_destroy(material);
	return r < 0 ? r : 0;
}

int prefork_tls_add_options(struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);

	const int r = pfi_tls_rows_add(settings);

	return r == 0 ? prefork_settings_add_check(settings, check, NULL) : r;
}
